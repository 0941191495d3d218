from kombu import Producer, Queue, binding

from harness import Inbox, bodies, drain, equal, publish, scenario


@scenario
def tutorial_1_hello_world(broker):
    sender, receiver = broker.channel(), broker.channel()
    queue = broker.queue(sender)
    inbox = Inbox(receiver, queue, no_ack=True)
    publish(sender, queue, "Hello World!")
    broker.wait_until(lambda: len(inbox) == 1, "the message arrives")
    [message] = inbox.messages
    equal(message.payload, "Hello World!")
    info = message.delivery_info
    equal((info["exchange"], info["routing_key"], info["redelivered"]), ("", queue.name, False))


@scenario
def tutorial_3_publish_subscribe(broker):
    sender = broker.channel()
    logs = broker.exchange(sender, "fanout")
    inboxes = []
    for _ in range(3):
        channel = broker.channel()
        queue = Queue("", logs, channel=channel, exclusive=True, durable=False)
        queue.declare()
        inboxes.append(Inbox(channel, queue, no_ack=True))
    lines = [b"one", b"two", b"three"]
    for line in lines:
        Producer(sender, logs).publish(line, "the key is ignored")
    broker.wait_until(lambda: all(len(inbox) == 3 for inbox in inboxes), "all subscribers have all")
    equal([inbox.bodies() for inbox in inboxes], [lines] * 3)


@scenario
def tutorial_4_routing(broker):
    sender = broker.channel()
    logs = broker.exchange(sender, "direct")

    def subscribe(*severities):
        channel = broker.channel()
        bindings = [binding(logs, severity) for severity in severities]
        return Inbox(channel, broker.queue(channel, *bindings), no_ack=True)

    disk, screen = subscribe("error"), subscribe("info", "warning", "error")
    for severity in ("info", "debug", "error", "warning"):
        Producer(sender, logs).publish(severity.encode(), severity)
    broker.wait_until(lambda: len(disk) == 1 and len(screen) == 3, "the logs arrive")
    equal((disk.bodies(), screen.bodies()), ([b"error"], [b"info", b"error", b"warning"]))


@scenario
def tutorial_5_topics(broker):
    channel = broker.channel()
    animals = broker.exchange(channel, "topic")
    patterns = ("*.orange.*", "*.*.rabbit", "lazy.#", "#")
    queues = {pattern: broker.queue(channel, binding(animals, pattern)) for pattern in patterns}
    keys = ["quick.orange.rabbit", "lazy.orange.elephant", "lazy.brown.fox", "orange", "lazy", ""]
    for key in keys:
        Producer(channel, animals).publish(key.encode(), key)
    received = {
        pattern: [message.delivery_info["routing_key"] for message in drain(queue)]
        for pattern, queue in queues.items()}
    equal(received, {
        "*.orange.*": ["quick.orange.rabbit", "lazy.orange.elephant"],
        "*.*.rabbit": ["quick.orange.rabbit"],
        "lazy.#": ["lazy.orange.elephant", "lazy.brown.fox", "lazy"],
        "#": keys})


@scenario
def headers_exchange_all_and_any(broker):
    channel = broker.channel()
    exchange = broker.exchange(channel, "headers")
    queues = {
        match: broker.queue(channel, binding(exchange, arguments={"x-match": match, "format": "pdf", "pages": 3}))
        for match in ("all", "any")}
    for body, headers in (
        (b"both", {"format": "pdf", "pages": 3, "more": True}),
        (b"one", {"format": "pdf", "pages": 4}),
        (b"string is not a number", {"pages": "3"}),
        (b"no headers", {}),
    ):
        Producer(channel, exchange).publish(body, headers=headers)
    received = {match: bodies(drain(queue)) for match, queue in queues.items()}
    equal(received, {"all": [b"both"], "any": [b"both", b"one"]})


@scenario
def alternate_exchange_takes_the_unroutable(broker):
    channel = broker.channel()
    strays = broker.exchange(channel, "fanout")
    main = broker.exchange(channel, "direct", arguments={"alternate-exchange": strays.name})
    routed, unrouted = broker.queue(channel, binding(main, "known")), broker.queue(channel, binding(strays))
    for key in ("known", "unknown"):
        Producer(channel, main).publish(key.encode(), key)
    equal(bodies(drain(routed)), [b"known"])
    [stray] = drain(unrouted)
    equal((bytes(stray.body), stray.delivery_info["exchange"]), (b"unknown", main.name))
