from harness import drain, equal, scenario

KEYS = ["quick.orange.rabbit", "lazy.orange.elephant", "quick.orange.fox", "lazy.brown.fox",
        "lazy.pink.rabbit", "quick.brown.fox", "orange", "quick.orange.new.rabbit",
        "lazy.orange.new.rabbit", "lazy", ""]

MATCHES = {
    "*.orange.*": KEYS[:3],
    "*.*.rabbit": ["quick.orange.rabbit", "lazy.pink.rabbit"],
    "lazy.#": ["lazy.orange.elephant", "lazy.brown.fox", "lazy.pink.rabbit",
               "lazy.orange.new.rabbit", "lazy"],
    "#": KEYS,
    "*": ["orange", "lazy"],
    "#.fox": ["quick.orange.fox", "lazy.brown.fox", "quick.brown.fox"],
    "quick.#.rabbit": ["quick.orange.rabbit", "quick.orange.new.rabbit"],
    "orange": ["orange"],
}


@scenario
def tutorial_5_topics(broker):
    """`*` stands for exactly one word, `#` for any number of words."""
    channel = broker.channel()
    animals = broker.exchange(channel, "topic")
    queues = {pattern: broker.queue(channel) for pattern in MATCHES}
    for pattern, queue in queues.items():
        channel.queue_bind(queue, animals, pattern)
    for key in KEYS:
        channel.basic_publish(animals, key, key.encode())
    for pattern, queue in queues.items():
        received = [message.routing_key for message in drain(channel, queue)]
        equal(received, MATCHES[pattern], f"keys matching {pattern}")


@scenario
def topic_patterns_overlap_in_one_queue(broker):
    """A queue that several bindings match gets the message once."""
    channel = broker.channel()
    animals = broker.exchange(channel, "topic")
    queue = broker.queue(channel)
    for pattern in ("lazy.#", "*.fox", "lazy.fox"):
        channel.queue_bind(queue, animals, pattern)
    channel.basic_publish(animals, "lazy.fox", b"once")
    equal([message.body for message in drain(channel, queue)], [b"once"])
