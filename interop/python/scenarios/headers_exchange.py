import pika

from harness import drain, equal, scenario

BINDINGS = {
    "all": {"x-match": "all", "format": "pdf", "pages": 3},
    "any": {"x-match": "any", "format": "pdf", "pages": 3},
    "default is all": {"format": "pdf", "pages": 3},
    "present": {"x-match": "all", "format": None},
}

MESSAGES = [
    ("both", {"format": "pdf", "pages": 3, "more": True}, {"all", "any", "default is all", "present"}),
    ("one", {"format": "pdf", "pages": 4}, {"any", "present"}),
    ("other value", {"format": "zip"}, {"present"}),
    ("string is not a number", {"pages": "3"}, set()),
    ("wide number", {"format": "pdf", "pages": pika.compat.long(3)},
     {"all", "any", "default is all", "present"}),
    ("no headers", None, set()),
]


@scenario
def headers_exchange_all_and_any(broker):
    channel = broker.channel()
    exchange = broker.exchange(channel, "headers")
    queues = {name: broker.queue(channel) for name in BINDINGS}
    for name, arguments in BINDINGS.items():
        channel.queue_bind(queues[name], exchange, "", arguments)
    for body, headers, _ in MESSAGES:
        channel.basic_publish(exchange, "", body.encode(), pika.BasicProperties(headers=headers))
    for name, queue in queues.items():
        received = [message.body.decode() for message in drain(channel, queue)]
        expected = [body for body, _, matches in MESSAGES if name in matches]
        equal(received, expected, f"messages for the binding '{name}'")
