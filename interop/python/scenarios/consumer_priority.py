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
