import datetime
import decimal

import pika

from harness import equal, get, scenario

# Everything pika can encode. The remaining types are in the amqplib scenario of the same name.
HEADERS = {
    "longstr": "plain",
    "unicode": "żółw 🐢",
    "empty string": "",
    "binary": b"\x00\xff\xfe",
    "true": True,
    "false": False,
    "int 32": -123456,
    "int 64": 2**40,
    "int 64 negative": -(2**40),
    "decimal": decimal.Decimal("12.34"),
    "timestamp": datetime.datetime(2001, 2, 3, 4, 5, 6, tzinfo=datetime.timezone.utc),
    "void": None,
    "table": {"deep": {"deeper": [1, "two", {"three": 3}]}, "empty": {}},
    "array": [1, 2**40, "text", b"\x01", True, None, [], ["nested"]],
}


@scenario
def every_header_type_survives(broker):
    channel = broker.channel()
    queue = broker.queue(channel)
    channel.basic_publish("", queue, b"", pika.BasicProperties(headers=HEADERS))
    headers = get(channel, queue).properties.headers
    for name, value in HEADERS.items():
        equal(headers[name], value, name)
    equal(list(headers), list(HEADERS), "order of the headers")


@scenario
def every_property_survives(broker):
    channel = broker.channel()
    queue = broker.queue(channel)
    sent = pika.BasicProperties(
        content_type="text/plain", content_encoding="identity", headers={"a": 1}, delivery_mode=2,
        priority=9, correlation_id="correlation", reply_to="reply", expiration="600000",
        message_id="message", timestamp=1234567890, type="type", user_id=broker.parameters().credentials.username,
        app_id="app", cluster_id="cluster")
    channel.basic_publish("", queue, b"body", sent)
    equal(get(channel, queue).properties, sent)
    channel.basic_publish("", queue, b"body", pika.BasicProperties())
    equal(get(channel, queue).properties, pika.BasicProperties(), "no properties")


@scenario
def arguments_of_every_type_are_accepted(broker):
    channel = broker.channel()
    queue = broker.queue(channel, arguments=HEADERS)
    channel.queue_bind(queue, "amq.headers", "", {"x-match": "all", **HEADERS})
    channel.basic_publish("amq.headers", "", b"found", pika.BasicProperties(headers=HEADERS))
    equal(get(channel, queue).body, b"found")
