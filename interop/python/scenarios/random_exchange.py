from harness import drain, equal, needs_plugin, scenario


def spread(broker, kind, keys):
    """How many messages with these keys each of three queues gets."""
    channel = broker.channel()
    channel.confirm_delivery()
    exchange = broker.exchange(channel, kind)
    names = [broker.queue(channel) for _ in range(3)]
    for name in names:
        channel.queue_bind(name, exchange, "")
    for key in keys:
        channel.basic_publish(exchange, key, b"m")
    return [len(drain(channel, name)) for name in names]


@scenario
def random_exchange(broker):
    """Each message goes to one queue, by chance: one key goes everywhere."""
    needs_plugin(broker, "x-random", "rabbitmq_random_exchange")
    counts = spread(broker, "x-random", ["same"] * 300)
    equal(sum(counts), 300)
    # By chance one of them stays empty once in 10^52 times.
    assert all(counts), f"a queue got nothing: {counts}"


@scenario
def modulus_hash_exchange(broker):
    """Each message goes to one queue, by its key."""
    needs_plugin(broker, "x-modulus-hash", "rabbitmq_sharding")
    counts = spread(broker, "x-modulus-hash", map(str, range(300)))
    equal(sum(counts), 300)
    assert all(50 < count < 150 for count in counts), f"not spread evenly: {counts}"
    equal(sorted(spread(broker, "x-modulus-hash", ["same"] * 30)), [0, 0, 30])
