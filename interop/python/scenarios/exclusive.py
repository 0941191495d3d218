from harness import Inbox, equal, refused, scenario

LOCKED = (
    "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '{}' in vhost '/'. It could be "
    "originally declared on another connection or the exclusive property value does not match that "
    "of the original declaration.")


@scenario
def exclusive_queue_is_locked_for_others_405(broker):
    owner, other = broker.connect(), broker.connect()
    queue = broker.queue(owner.channel(), exclusive=True)
    attempts = [
        lambda channel: channel.queue_declare(queue, exclusive=True),
        lambda channel: channel.queue_declare(queue, passive=True),
        lambda channel: channel.basic_get(queue),
        lambda channel: channel.basic_consume(queue, print),
        lambda channel: channel.queue_purge(queue),
        lambda channel: channel.queue_delete(queue),
        lambda channel: channel.queue_bind(queue, "amq.direct", "key"),
    ]
    for attempt in attempts:
        with refused(405, LOCKED.format(queue)):
            attempt(other.channel())


@scenario
def exclusive_queue_ends_with_its_connection(broker):
    """The name is free as soon as the owner's close is answered. Publishing to it was open to all."""
    owner, other = broker.connect(), broker.connect().channel()
    queue = broker.queue(owner.channel(), exclusive=True)
    other.confirm_delivery()
    other.basic_publish("", queue, b"from outside", mandatory=True)
    broker.wait_ready(owner.channel(), queue, 1)
    owner.close()
    equal(other.queue_declare(queue).method.message_count, 0)


@scenario
def exclusive_consumer_refuses_others_403(broker):
    connection = broker.connect()
    channel = connection.channel()
    queue = broker.queue(channel)
    alone = Inbox(channel, queue, exclusive=True)
    with refused(403, f"ACCESS_REFUSED - queue '{queue}' in vhost '/' in exclusive use"):
        Inbox(connection.channel(), queue)
    channel.basic_cancel(alone.tag)
    Inbox(connection.channel(), queue)
