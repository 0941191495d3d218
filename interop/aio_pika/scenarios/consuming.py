import aiormq

from harness import Inbox, drain, equal, publish, refused, scenario, until, until_ready


@scenario
async def prefetch_per_consumer(broker):
    channel = await broker.channel()
    queue = await broker.queue(channel)
    await channel.set_qos(prefetch_count=2)
    first, second = await Inbox.of(queue), await Inbox.of(queue)
    await publish(channel, queue, *(b"%d" % n for n in range(10)))
    await until(lambda: len(first) + len(second) == 4, "both consumers are full")
    await until_ready(channel, queue, 6)
    equal((len(first), len(second)), (2, 2))
    await first.messages[0].ack()
    await until(lambda: len(first) == 3, "the ack made room")
    await until_ready(channel, queue, 5)
    equal(len(second), 2)


@scenario
async def nacked_messages_return_to_their_places(broker):
    channel = await broker.channel()
    queue = await broker.queue(channel)
    await publish(channel, queue, b"1", b"2", b"3", b"4", b"5")
    taken = [await queue.get() for _ in range(4)]
    equal([message.redelivered for message in taken], [False] * 4)
    await taken[3].nack(requeue=True)
    await taken[1].reject(requeue=True)
    again = [(message.body, message.redelivered) for message in await drain(queue)]
    equal(again, [(b"2", True), (b"4", True), (b"5", False)])


@scenario
async def consumer_is_told_when_its_queue_is_deleted(broker):
    consumer, other = await broker.channel(), await broker.channel()
    queue = await broker.queue(other)
    inbox, cancelled = await Inbox.of(await consumer.get_queue(queue.name)), []
    underlay = await consumer.get_underlay_channel()
    underlay.on_consumer_cancel_callbacks.add(lambda frame: cancelled.append(frame.consumer_tag))
    await other.queue_delete(queue.name)
    await until(lambda: cancelled, "the server cancels the consumer")
    equal(cancelled, [inbox.tag])
    assert not consumer.is_closed


@scenario
async def cancelled_consumer_gets_no_more(broker):
    channel = await broker.channel()
    queue = await broker.queue(channel)
    inbox = await Inbox.of(queue)
    await publish(channel, queue, b"before")
    await until(lambda: len(inbox) == 1, "the first is delivered")
    await queue.cancel(inbox.tag)
    await publish(channel, queue, b"after")
    await inbox.messages[0].ack()
    equal([message.body for message in await drain(queue)], [b"after"])
    equal(len(inbox), 1)


@scenario
async def exclusive_queue_is_locked_for_others_405(broker):
    owner, other = await broker.connect(), await broker.connect()
    queue = await broker.queue(await owner.channel(), exclusive=True)
    text = (f"RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{queue.name}' in vhost '/'. It could "
            "be originally declared on another connection or the exclusive property value does not match that of "
            "the original declaration.")
    for attempt in (
        lambda channel: channel.declare_queue(queue.name, exclusive=True),
        lambda channel: channel.declare_queue(queue.name, passive=True),
        lambda channel: channel.queue_delete(queue.name),
    ):
        with refused(aiormq.exceptions.ChannelLockedResource, text):
            await attempt(await other.channel())


@scenario
async def expired_message_is_dead_lettered(broker):
    channel = await broker.channel()
    graveyard = await broker.queue(channel)
    queue = await broker.queue(channel, arguments={
        "x-message-ttl": 50, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": graveyard.name})
    inbox = await Inbox.of(graveyard, no_ack=True)
    await publish(channel, queue, b"short life")
    await until(lambda: len(inbox) == 1, "the message expires")
    [death] = inbox.messages[0].headers["x-death"]
    equal((death["queue"], death["reason"], death["count"]), (queue.name, "expired", 1))
    equal((death["exchange"], death["routing-keys"]), ("", [queue.name]))


@scenario
async def priority_queue_serves_the_highest_first(broker):
    channel = await broker.channel()
    queue = await broker.queue(channel, arguments={"x-max-priority": 5})
    for priority in (1, 5, 0, 3, 5):
        await publish(channel, queue, b"%d" % priority, priority=priority)
    equal([message.body for message in await drain(queue)], [b"5", b"5", b"3", b"1", b"0"])
