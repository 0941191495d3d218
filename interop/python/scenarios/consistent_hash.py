import pika

from harness import drain, equal, needs_plugin, refused, scenario

PLUGIN = "rabbitmq_consistent_hash_exchange"


def queues(broker, channel, exchange, weights):
    names = [broker.queue(channel) for _ in weights]
    for name, weight in zip(names, weights):
        channel.queue_bind(name, exchange, weight)
    return names


def publish(channel, exchange, count, properties=lambda n: None):
    for n in range(count):
        channel.basic_publish(exchange, str(n), str(n).encode(), properties(n))


def contents(channel, names):
    return [[delivery.body for delivery in drain(channel, name)] for name in names]


@scenario
def consistent_hash_shares_by_weight(broker):
    """Each message goes to one queue, a key always to the same, and weights are shares."""
    needs_plugin(broker, "x-consistent-hash", PLUGIN)
    channel = broker.channel()
    channel.confirm_delivery()
    exchange = broker.exchange(channel, "x-consistent-hash")
    names = queues(broker, channel, exchange, ["1", "3"])
    publish(channel, exchange, 400)
    first = contents(channel, names)
    equal(sorted(first[0] + first[1]), sorted(str(n).encode() for n in range(400)))
    assert 60 <= len(first[0]) <= 140, f"a quarter of 400 expected, got {len(first[0])}"
    publish(channel, exchange, 400)
    equal(contents(channel, names), first, "the second round")
    # A second binding of a queue is no second share.
    channel.queue_bind(names[0], exchange, "9")
    publish(channel, exchange, 400)
    equal(contents(channel, names), first, "with a second binding")


@scenario
def consistent_hash_by_header_or_property(broker):
    """What is hashed can be a header or a property; messages without it stay together."""
    needs_plugin(broker, "x-consistent-hash", PLUGIN)
    channel = broker.channel()
    channel.confirm_delivery()
    for arguments, properties in (
        ({"hash-header": "user"}, lambda n: pika.BasicProperties(headers={"user": n % 20})),
        ({"hash-property": "message_id"}, lambda n: pika.BasicProperties(message_id=str(n % 20))),
        ({"hash-property": "correlation_id"}, lambda n: pika.BasicProperties(correlation_id=str(n % 20))),
        ({"hash-property": "timestamp"}, lambda n: pika.BasicProperties(timestamp=n % 20)),
    ):
        exchange = broker.exchange(channel, "x-consistent-hash", arguments=arguments)
        names = queues(broker, channel, exchange, ["1", "1", "1"])
        publish(channel, exchange, 60, properties)
        found = contents(channel, names)
        equal(sum(map(len, found)), 60)
        for bodies in found:
            counts = [sum(int(body) % 20 == user for body in bodies) for user in range(20)]
            assert set(counts) <= {0, 3}, f"{arguments}: a user's messages were separated: {counts}"
        assert sum(bool(bodies) for bodies in found) > 1, f"{arguments}: all in one queue"
        publish(channel, exchange, 30)
        equal(sorted(map(len, contents(channel, names))), [0, 0, 30], f"without {arguments}")


@scenario
def consistent_hash_refusals(broker):
    """The texts for arguments and weights that are none."""
    needs_plugin(broker, "x-consistent-hash", PLUGIN)
    name = broker.name()
    for arguments, text in (
        ({"hash-property": "app_id"}, "Unsupported property: app_id"),
        (
            {"hash-header": "h", "hash-property": "message_id"},
            "hash-header and hash-property are mutually exclusive",
        ),
    ):
        with refused(406, f"PRECONDITION_FAILED - {text}"):
            broker.channel().exchange_declare(name, "x-consistent-hash", arguments=arguments)
    channel = broker.channel()
    exchange, queue = broker.exchange(channel, "x-consistent-hash"), broker.queue(channel)
    for key, text in (
        ("abc", 'must be an integer: <<"abc">>'),
        ("", "must be an integer: <<>>"),
        ("1.5", 'must be an integer: <<"1.5">>'),
        ("0", "must be greater than 0"),
        ("-3", "must be greater than 0"),
    ):
        with refused(406, f"PRECONDITION_FAILED - The binding key {text}"):
            broker.channel().queue_bind(queue, exchange, key)
