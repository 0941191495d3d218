from harness import drain, equal, scenario


@scenario
def exchange_to_exchange_binding(broker):
    """A topic exchange feeds a fanout one; each routes by its own type; unbinding ends it."""
    channel = broker.channel()
    source, destination = broker.exchange(channel, "topic"), broker.exchange(channel, "fanout")
    queue = broker.queue(channel)
    channel.queue_bind(queue, destination)
    channel.exchange_bind(destination, source, "orders.#")
    for key in ("orders.new", "users.new", "orders"):
        channel.basic_publish(source, key, key.encode())
    received = drain(channel, queue)
    equal([message.body for message in received], [b"orders.new", b"orders"])
    equal(received[0].exchange, source, "the exchange published to")
    channel.exchange_unbind(destination, source, "orders.#")
    channel.basic_publish(source, "orders.late", b"late")
    equal(drain(channel, queue), [])


@scenario
def message_reaches_a_queue_once_over_several_paths(broker):
    channel = broker.channel()
    source, left, right = (broker.exchange(channel, "fanout") for _ in range(3))
    queue = broker.queue(channel)
    for exchange in (left, right):
        channel.exchange_bind(exchange, source)
        channel.queue_bind(queue, exchange)
    channel.exchange_bind(source, left)  # A cycle must not hurt.
    channel.queue_bind(queue, source)
    channel.basic_publish(source, "", b"once")
    equal(len(drain(channel, queue)), 1)


@scenario
def alternate_exchange_takes_the_unroutable(broker):
    channel = broker.channel()
    strays = broker.exchange(channel, "fanout")
    main = broker.exchange(channel, "direct", arguments={"alternate-exchange": strays})
    routed, unrouted = broker.queue(channel), broker.queue(channel)
    channel.queue_bind(routed, main, "known")
    channel.queue_bind(unrouted, strays)
    channel.confirm_delivery()
    for key in ("known", "unknown"):
        channel.basic_publish(main, key, key.encode(), mandatory=True)
    equal([message.body for message in drain(channel, routed)], [b"known"])
    equal([(message.body, message.exchange) for message in drain(channel, unrouted)],
          [(b"unknown", main)])
