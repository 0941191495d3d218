import pika
import pika.exceptions

from harness import Inbox, equal, ready, refused, scenario


def stream(broker, channel, **arguments):
    arguments = {name.replace("_", "-"): value for name, value in arguments.items()}
    return broker.queue(channel, durable=True, arguments={"x-queue-type": "stream", **arguments})


def reader(broker, queue, offset=None, prefetch=100, acknowledge=True):
    """A consumer on a channel of its own, since its prefetch is the channel's."""
    channel = broker.channel()
    channel.basic_qos(prefetch_count=prefetch)
    arguments = {} if offset is None else {"x-stream-offset": offset}
    return Inbox(channel, queue, acknowledge=acknowledge, arguments=arguments)


def offsets(inbox):
    return [delivery.properties.headers["x-stream-offset"] for delivery in inbox.deliveries]


def fill(channel, queue, count):
    # One by one, so that each is a chunk of its own where there are chunks.
    channel.confirm_delivery()
    for n in range(count):
        channel.basic_publish("", queue, b"%d" % n)


@scenario
def stream_is_read_again_and_again(broker):
    channel = broker.channel()
    queue = stream(broker, channel)
    fill(channel, queue, 20)
    for _ in range(3):
        inbox = reader(broker, queue, "first")
        broker.wait_until(lambda: len(inbox) == 20, "all is read")
        equal(inbox.bodies(), [b"%d" % n for n in range(20)])
        equal(offsets(inbox), list(range(20)), "offsets")
        equal([delivery.redelivered for delivery in inbox.deliveries], [False] * 20)
    broker.wait_ready(channel, queue, 20)


@scenario
def stream_is_read_from_where_one_asks(broker):
    channel = broker.channel()
    queue = stream(broker, channel)
    fill(channel, queue, 10)
    at = {offset: reader(broker, queue, offset) for offset in ("first", 7, "1h", None, "next")}
    broker.wait_until(lambda: len(at["first"]) == 10, "all is read")
    broker.wait_until(lambda: len(at["1h"]) == 10, "the last hour is read")
    # A broker with chunks begins with the one in which the offset is, and clients leave out the rest.
    broker.wait_until(lambda: 9 in offsets(at[7]), "the rest is read")
    equal([offset for offset in offsets(at[7]) if offset >= 7], [7, 8, 9], "offsets")
    channel.basic_publish("", queue, b"new")
    for offset in (None, "next"):
        broker.wait_until(lambda: len(at[offset]) == 1, "the new one is there")
        equal((at[offset].bodies(), offsets(at[offset])), ([b"new"], [10]))
    last = reader(broker, queue, "last")
    broker.wait_until(lambda: offsets(last)[-1:] == [10], "the last is read")


@scenario
def stream_delivers_as_credit_comes(broker):
    channel = broker.channel()
    queue = stream(broker, channel)
    fill(channel, queue, 9)
    inbox = reader(broker, queue, "first", prefetch=3, acknowledge=False)
    broker.wait_until(lambda: len(inbox) == 3, "three are there")
    broker.serve(0.3)
    equal(offsets(inbox), [0, 1, 2], "offsets")
    inbox.channel.basic_ack(inbox.deliveries[1].tag, multiple=True)
    broker.wait_until(lambda: len(inbox) == 5, "two more are there")
    broker.serve(0.3)
    equal(offsets(inbox), [0, 1, 2, 3, 4], "offsets")


@scenario
def stream_keeps_address_and_properties(broker):
    channel = broker.channel()
    queue = stream(broker, channel)
    exchange = broker.exchange(channel, "fanout")
    channel.queue_bind(queue, exchange)
    channel.confirm_delivery()
    properties = pika.BasicProperties(
        content_type="text/plain", headers={"a": 1}, delivery_mode=1, message_id="id"
    )
    channel.basic_publish(exchange, "key", b"x", properties)
    inbox = reader(broker, queue, "first")
    broker.wait_until(lambda: len(inbox) == 1, "it is read")
    [delivery] = inbox.deliveries
    equal((delivery.exchange, delivery.routing_key), (exchange, "key"))
    equal(delivery.properties.headers, {"a": 1, "x-stream-offset": 0})
    equal(delivery.properties.content_type, "text/plain")
    equal(delivery.properties.message_id, "id")
    equal(delivery.properties.delivery_mode, 1)


@scenario
def stream_must_be_durable_and_shared(broker):
    connection = broker.connect()
    name = broker.name("stream")
    for flags, wrong in (
        ({"durable": False}, "non-durable"),
        ({"durable": True, "auto_delete": True}, "auto-delete"),
        ({"durable": True, "exclusive": True}, "exclusive-owner"),
    ):
        channel = connection.channel()
        text = f"PRECONDITION_FAILED - invalid property '{wrong}' for queue '{name}' in vhost '/'"
        with refused(406, text):
            channel.queue_declare(name, arguments={"x-queue-type": "stream"}, **flags)


@scenario
def stream_has_no_get_and_no_purge(broker):
    channel = broker.channel()
    queue = stream(broker, channel)
    for method, call in (
        ("basic.get", lambda channel: channel.basic_get(queue)),
        ("queue.purge", lambda channel: channel.queue_purge(queue)),
    ):
        text = f"NOT_IMPLEMENTED - {method} not supported by stream queues queue '{queue}' in vhost '/'"
        with refused(540, text):
            call(broker.channel())


@scenario
def stream_consumers_acknowledge(broker):
    channel = broker.channel()
    queue = stream(broker, channel)
    channel = broker.channel()
    channel.basic_qos(prefetch_count=1)
    try:
        channel.basic_consume(queue, print, auto_ack=True)
    except pika.exceptions.ConnectionClosedByBroker as error:
        # Versions differ in how they name the stream.
        start = "NOT_IMPLEMENTED - automatic acknowledgement not supported by stream"
        equal((error.reply_code, error.reply_text[: len(start)]), (540, start))
    else:
        raise AssertionError("a stream's consumer that does not acknowledge")


@scenario
def stream_deleted_tells_how_much_was_in_it(broker):
    channel = broker.channel()
    queue = stream(broker, channel)
    fill(channel, queue, 5)
    broker.wait_until(lambda: ready(channel, queue) == 5, "all five are counted")
    channel.queue_delete(queue, if_empty=True)
    with refused(404, f"NOT_FOUND - no queue '{queue}' in vhost '/'"):
        channel.queue_declare(queue, passive=True)
