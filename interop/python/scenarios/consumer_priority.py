from harness import Inbox, equal, scenario


@scenario
def consumer_priority_decides_who_is_served(broker):
    """A lower consumer gets messages only while the higher one has no room."""
    channel = broker.channel()
    queue = broker.queue(channel)
    channel.basic_qos(prefetch_count=2)
    low = Inbox(channel, queue)
    high = Inbox(channel, queue, arguments={"x-priority": 10})

    def publish(*numbers):
        for n in numbers:
            channel.basic_publish("", queue, b"%d" % n)

    publish(1, 2, 3)
    broker.wait_until(lambda: len(low) + len(high) == 3, "three are delivered")
    equal((high.bodies(), low.bodies()), ([b"1", b"2"], [b"3"]))
    channel.basic_ack(high.deliveries[0].tag)
    publish(4, 5)
    broker.wait_until(lambda: len(low) + len(high) == 5, "two more are delivered")
    equal((high.bodies(), low.bodies()), ([b"1", b"2", b"4"], [b"3", b"5"]))


@scenario
def more_important_consumer_takes_over_a_quorum_queue(broker):
    """RabbitMQ 4: it waits until the single active consumer has nothing unacknowledged; RabbitMQ 3: until it leaves."""
    channel = broker.channel()
    arguments = {"x-queue-type": "quorum", "x-single-active-consumer": True}
    queue = broker.queue(channel, durable=True, arguments=arguments)
    low = Inbox(channel, queue)
    channel.basic_publish("", queue, b"1")
    broker.wait_until(lambda: len(low) == 1, "the first one is delivered")
    high = Inbox(channel, queue, arguments={"x-priority": 10})
    server = channel.connection._impl.server_properties
    takes_over = server["product"] == "leveret" or not server["version"].startswith("3.")
    channel.basic_publish("", queue, b"2")
    if takes_over:
        broker.wait_ready(channel, queue, 1)
        equal((low.bodies(), high.bodies()), ([b"1"], []))
    channel.basic_ack(low.deliveries[0].tag)
    broker.wait_until(lambda: len(low) + len(high) == 2, "the second one is delivered")
    expected = ([b"1"], [b"2"]) if takes_over else ([b"1", b"2"], [])
    equal((low.bodies(), high.bodies()), expected)
