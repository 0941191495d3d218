from harness import Inbox, equal, ready, scenario


@scenario
def prefetch_per_consumer(broker):
    """Each consumer of the channel may hold two; an ack makes room for one more."""
    channel = broker.channel()
    queue = broker.queue(channel)
    channel.basic_qos(prefetch_count=2)
    first, second = Inbox(channel, queue), Inbox(channel, queue)
    for n in range(10):
        channel.basic_publish("", queue, b"%d" % n)
    broker.wait_until(lambda: len(first) + len(second) == 4, "both consumers are full")
    equal((len(first), len(second)), (2, 2))
    broker.wait_ready(channel, queue, 6)
    channel.basic_ack(first.deliveries[0].tag)
    broker.wait_until(lambda: len(first) == 3, "the ack made room")
    broker.wait_ready(channel, queue, 5)
    equal(len(second), 2)


@scenario
def prefetch_per_channel(broker):
    """With global=true, all consumers of the channel together may hold three."""
    channel = broker.channel()
    queues = [broker.queue(channel), broker.queue(channel)]
    channel.basic_qos(prefetch_count=3, global_qos=True)
    inboxes = [Inbox(channel, queue) for queue in queues]

    def delivered():
        return sum(map(len, inboxes))

    def wait_ready(count):
        broker.wait_until(
            lambda: sum(ready(channel, queue) for queue in queues) == count, f"{count} are ready")

    for n in range(10):
        channel.basic_publish("", queues[n % 2], b"%d" % n)
    broker.wait_until(lambda: delivered() == 3, "the channel is full")
    wait_ready(7)
    equal(delivered(), 3)
    channel.basic_ack(2, multiple=True)
    broker.wait_until(lambda: delivered() == 5, "the acks made room for two")
    wait_ready(5)
    equal(delivered(), 5)


@scenario
def prefetch_change_is_for_later_consumers(broker):
    channel = broker.channel()
    queue = broker.queue(channel)
    channel.basic_qos(prefetch_count=1)
    early = Inbox(channel, queue)
    channel.basic_qos(prefetch_count=3)
    late = Inbox(channel, queue)
    for n in range(10):
        channel.basic_publish("", queue, b"%d" % n)
    broker.wait_until(lambda: len(early) + len(late) == 4, "both consumers are full")
    broker.wait_ready(channel, queue, 6)
    equal((len(early), len(late)), (1, 3))


@scenario
def automatic_ack_ignores_prefetch(broker):
    channel = broker.channel()
    queue = broker.queue(channel)
    channel.basic_qos(prefetch_count=1)
    inbox = Inbox(channel, queue, auto_ack=True)
    for n in range(10):
        channel.basic_publish("", queue, b"%d" % n)
    broker.wait_until(lambda: len(inbox) == 10, "all ten arrive")
