import datetime
import decimal
import os

import amqp.exceptions
from kombu import Producer, Queue

from harness import Inbox, bodies, drain, equal, publish, ready, scenario


@scenario
def tutorial_7_confirms_in_batches(broker):
    """py-amqp, below kombu, sends a thousand messages before it looks at the confirms."""
    channel = broker.channel()
    queue = broker.queue(channel, durable=True)
    unconfirmed = set(range(1, 1001))

    def confirmed(tag, multiple):
        unconfirmed.difference_update([n for n in unconfirmed if n <= tag] if multiple else [tag])

    channel.events["basic_ack"].add(confirmed)
    channel.confirm_select()
    texts = [b"%d" % n for n in range(1000)]
    publish(channel, queue, *texts, delivery_mode="persistent")
    broker.wait_until(lambda: not unconfirmed, "everything is confirmed")
    equal(bodies(drain(queue)), texts)


@scenario
def full_queue_that_rejects_nacks_the_publish(broker):
    channel = broker.channel(confirms=True)
    queue = broker.queue(channel, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    publish(channel, queue, b"fits")
    try:
        publish(channel, queue, b"does not")
    except amqp.exceptions.MessageNacked:
        pass
    else:
        raise AssertionError("the second publish was confirmed")
    equal(bodies(drain(queue)), [b"fits"])


@scenario
def mandatory_message_is_returned_before_its_ack(broker):
    returned = []

    def on_return(error, exchange, routing_key, message):
        returned.append((error.reply_code, error.reply_text, exchange, routing_key, message.body))

    # With confirms, a publish returns when the ack is there.
    producer = Producer(broker.channel(confirms=True), on_return=on_return)
    producer.publish(b"stray", "no such key", exchange="amq.direct", mandatory=True)
    equal(returned, [(312, "NO_ROUTE", "amq.direct", "no such key", b"stray")])


# Everything that py-amqp can write.
HEADERS = {
    "longstr": "plain",
    "unicode": "żółw 🐢",
    "empty string": "",
    "true": True,
    "false": False,
    "int 32": -123_456,
    "int 64": -(2**40),
    "double": 0.1,
    "decimal": decimal.Decimal("12.34"),
    "timestamp": datetime.datetime(2001, 2, 3, 4, 5, 6),
    "void": None,
    "table": {"deep": {"deeper": [1, "two", {"three": 3}]}, "empty": {}},
    "array": [1, 2**40, "text", True, None, 1.5, [], ["nested"]],
}


@scenario
def every_header_type_survives(broker):
    channel = broker.channel()
    queue = broker.queue(channel)
    publish(channel, queue, b"", headers=HEADERS)
    headers = queue.get(no_ack=True).headers
    for name, value in HEADERS.items():
        equal((type(headers[name]), headers[name]), (type(value), value), name)


@scenario
def large_body_10_mib(broker):
    channel = broker.channel()
    queue = broker.queue(channel)
    body = os.urandom(10 * 1024 * 1024)
    publish(channel, queue, body)
    broker.wait_until(lambda: ready(channel, queue) == 1, "it is in the queue")
    assert bodies(drain(queue)) == [body], "the body came back changed"


@scenario
def direct_reply_to(broker):
    server, client = broker.channel(), broker.channel()
    requests = broker.queue(server)

    def double(request):
        Producer(server).publish(
            b"%d" % (2 * int(bytes(request.body))), request.properties["reply_to"],
            correlation_id=request.properties["correlation_id"])
        request.ack()

    Inbox(server, requests).consumer.on_message = double
    replies = Inbox(client, Queue("amq.rabbitmq.reply-to", no_declare=True), no_ack=True)
    for n in (30, 5, 12):
        publish(client, requests, b"%d" % n, reply_to="amq.rabbitmq.reply-to", correlation_id=f"call {n}")
    broker.wait_until(lambda: len(replies) == 3, "all replies are here")
    received = {reply.properties["correlation_id"]: bytes(reply.body) for reply in replies.messages}
    equal(received, {"call 30": b"60", "call 5": b"10", "call 12": b"24"})
    for reply in replies.messages:
        assert reply.delivery_info["routing_key"].startswith("amq.rabbitmq.reply-to."), reply.delivery_info
