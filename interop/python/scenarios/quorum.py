import pika
from harness import drain, equal, get, refused, scenario

QUORUM = {"x-queue-type": "quorum"}


def count(message):
    """RabbitMQ 3 sends 0 the first time; RabbitMQ 4 and leveret send nothing."""
    return (message.properties.headers or {}).get("x-delivery-count", 0)


@scenario
def quorum_queue_gives_up_on_poison(broker):
    """Beyond the delivery limit a message goes to the dead letter exchange, and the next one is served."""
    channel = broker.channel()
    dead = broker.queue(channel)
    arguments = QUORUM | {
        "x-delivery-limit": 2,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": dead,
    }
    queue = broker.queue(channel, durable=True, arguments=arguments)
    channel.confirm_delivery()
    claim = pika.BasicProperties(headers={"x-delivery-count": 77})
    channel.basic_publish("", queue, b"poison", claim)
    channel.basic_publish("", queue, b"good")
    attempts = []
    for _ in range(3):
        message = get(channel, queue, auto_ack=False)
        attempts.append((message.body, message.redelivered, count(message)))
        channel.basic_nack(message.tag, requeue=True)
    equal(attempts, [(b"poison", n > 0, n) for n in range(3)])
    broker.wait_ready(channel, dead, 1)
    letter = get(channel, dead)
    equal(letter.body, b"poison")
    equal(letter.properties.headers["x-death"][0]["reason"], "delivery_limit")
    equal([message.body for message in drain(channel, queue)], [b"good"])


@scenario
def quorum_queue_is_durable_shared_and_named(broker):
    connection, name = broker.connect(), broker.name("quorum")
    resource = f"queue '{name}' in vhost '/'"

    def refuse(reason, name=name, **options):
        with refused(406, f"PRECONDITION_FAILED - {reason}"):
            connection.channel().queue_declare(name, arguments=QUORUM, **options)

    refuse(f"invalid property 'non-durable' for {resource}")
    refuse(f"invalid property 'exclusive-owner' for {resource}", durable=True, exclusive=True)
    refuse(f"invalid property 'auto-delete' for {resource}", durable=True, auto_delete=True)
    refuse("Cannot declare a server-named queue for type rabbit_quorum_queue", name="", durable=True)
    with refused(406, f"PRECONDITION_FAILED - invalid arg 'x-max-priority' for {resource} "
                      "of queue type rabbit_quorum_queue"):
        arguments = QUORUM | {"x-max-priority": 3}
        connection.channel().queue_declare(name, durable=True, arguments=arguments)


@scenario
def quorum_queue_refuses_a_global_prefetch_540(broker):
    channel = broker.channel()
    queue = broker.queue(channel, durable=True, arguments=QUORUM)
    channel.basic_qos(prefetch_count=3, global_qos=True)
    with refused(540, f"NOT_IMPLEMENTED - queue '{queue}' in vhost '/' does not support global qos"):
        channel.basic_consume(queue, lambda *_: None)


@scenario
def quorum_queue_without_a_limit_returns_to_the_tail(broker):
    """RabbitMQ 3 has no limit unless told, and takes no negative one."""
    channel = broker.channel()
    server = channel.connection._impl.server_properties
    is_rabbitmq_3 = server["product"] == "RabbitMQ" and server["version"].startswith("3.")
    arguments = QUORUM if is_rabbitmq_3 else QUORUM | {"x-delivery-limit": -1}
    queue = broker.queue(channel, durable=True, arguments=arguments)
    channel.confirm_delivery()
    for body in (b"a", b"b", b"c", b"d"):
        channel.basic_publish("", queue, body)
    tags = [get(channel, queue, auto_ack=False).tag for _ in range(3)]
    channel.basic_nack(tags[1], requeue=True)
    channel.basic_reject(tags[0], requeue=True)
    broker.wait_ready(channel, queue, 3)
    channel.basic_publish("", queue, b"e")
    channel.basic_nack(tags[2], requeue=True)
    broker.wait_ready(channel, queue, 5)
    messages = drain(channel, queue)
    equal([(m.body, m.redelivered, count(m)) for m in messages], [
        (b"d", False, 0), (b"b", True, 1), (b"a", True, 1), (b"e", False, 0), (b"c", True, 1),
    ])
