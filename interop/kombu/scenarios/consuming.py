import amqp.exceptions

from harness import Inbox, bodies, drain, equal, publish, ready, refused, scenario


@scenario
def prefetch_per_consumer(broker):
    """Each on a channel: py-amqp takes what is not global for the channel's, unless the broker is called RabbitMQ."""
    channel, other = broker.channel(), broker.channel()
    queue = broker.queue(channel)
    channel.basic_qos(0, 2, False)
    other.basic_qos(0, 2, False)
    first, second = Inbox(channel, queue), Inbox(other, queue)
    publish(channel, queue, *(b"%d" % n for n in range(10)))
    broker.wait_until(lambda: len(first) + len(second) == 4, "both consumers are full")
    broker.wait_until(lambda: ready(channel, queue) == 6, "six are ready")
    equal((len(first), len(second)), (2, 2))
    first.messages[0].ack()
    broker.wait_until(lambda: len(first) == 3, "the ack made room")
    broker.wait_until(lambda: ready(channel, queue) == 5, "five are ready")
    equal(len(second), 2)


@scenario
def nacked_messages_return_to_their_places(broker):
    channel = broker.channel()
    queue = broker.queue(channel)
    publish(channel, queue, b"1", b"2", b"3", b"4", b"5")
    taken = [queue.get() for _ in range(4)]
    equal([message.delivery_info["redelivered"] for message in taken], [False] * 4)
    taken[3].requeue()
    taken[1].requeue()
    again = [(bytes(message.body), message.delivery_info["redelivered"]) for message in drain(queue)]
    equal(again, [(b"2", True), (b"4", True), (b"5", False)])


@scenario
def consumer_is_told_when_its_queue_is_deleted(broker):
    """What waits for messages gets an error, after which the connection is as good as before."""
    consumer, other = broker.channel(), broker.channel()
    queue = broker.queue(other)
    Inbox(consumer, queue)
    other.queue_delete(queue.name)
    try:
        broker.wait_until(lambda: False, "the server cancels the consumer")
    except amqp.exceptions.ConsumerCancelled:
        pass
    queue.bind(consumer).declare()


@scenario
def cancelled_consumer_gets_no_more(broker):
    channel = broker.channel()
    queue = broker.queue(channel)
    inbox = Inbox(channel, queue)
    publish(channel, queue, b"before")
    broker.wait_until(lambda: len(inbox) == 1, "the first is delivered")
    inbox.consumer.cancel()
    publish(channel, queue, b"after")
    inbox.messages[0].ack()
    equal(bodies(drain(queue)), [b"after"])
    equal(len(inbox), 1)


@scenario
def exclusive_queue_is_locked_for_others_405(broker):
    owner, other = broker.connect(), broker.connect()
    queue = broker.queue(owner.channel(), exclusive=True)
    text = (f"(405) RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{queue.name}' in vhost '/'. It "
            "could be originally declared on another connection or the exclusive property value does not match "
            "that of the original declaration.")
    for attempt in (
        lambda channel: queue.bind(channel).declare(),
        lambda channel: queue.bind(channel).get(),
        lambda channel: queue.bind(channel).purge(),
        lambda channel: queue.bind(channel).delete(),
        lambda channel: Inbox(channel, queue),
    ):
        with refused(amqp.exceptions.ResourceLocked, text):
            attempt(other.channel())


@scenario
def expired_message_is_dead_lettered(broker):
    channel = broker.channel()
    graveyard = broker.queue(channel)
    queue = broker.queue(channel, message_ttl=0.05, arguments={
        "x-dead-letter-exchange": "", "x-dead-letter-routing-key": graveyard.name})
    inbox = Inbox(channel, graveyard, no_ack=True)
    publish(channel, queue, b"short life")
    broker.wait_until(lambda: len(inbox) == 1, "the message expires")
    [death] = inbox.messages[0].headers["x-death"]
    equal((death["queue"], death["reason"], death["count"]), (queue.name, "expired", 1))
    equal((death["exchange"], death["routing-keys"]), ("", [queue.name]))


@scenario
def priority_queue_serves_the_highest_first(broker):
    channel = broker.channel()
    queue = broker.queue(channel, max_priority=5)
    for priority in (1, 5, 0, 3, 5):
        publish(channel, queue, b"%d" % priority, priority=priority)
    equal(bodies(drain(queue)), [b"5", b"5", b"3", b"1", b"0"])
