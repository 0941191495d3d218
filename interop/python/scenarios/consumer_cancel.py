from harness import Inbox, drain, equal, scenario


@scenario
def consumer_is_told_when_its_queue_is_deleted(broker):
    consumer, other = broker.channel(), broker.channel()
    queue = broker.queue(other)
    inbox, cancelled = Inbox(consumer, queue), []
    consumer.add_on_cancel_callback(lambda frame: cancelled.append(frame.method.consumer_tag))
    other.queue_delete(queue)
    broker.wait_until(lambda: cancelled, "the server cancels the consumer")
    equal(cancelled, [inbox.tag])
    assert consumer.is_open


@scenario
def cancelled_consumer_gets_no_more(broker):
    """What it held stays acknowledgeable; what comes later waits in the queue."""
    channel = broker.channel()
    queue = broker.queue(channel)
    inbox = Inbox(channel, queue)
    channel.basic_publish("", queue, b"before")
    broker.wait_until(lambda: len(inbox) == 1, "the first is delivered")
    channel.basic_cancel(inbox.tag)
    channel.basic_publish("", queue, b"after")
    channel.basic_ack(inbox.deliveries[0].tag)
    equal([message.body for message in drain(channel, queue)], [b"after"])
    equal(len(inbox), 1)


@scenario
def auto_delete_queue_ends_with_its_last_consumer(broker):
    channel = broker.channel()
    queue = broker.queue(channel, auto_delete=True)
    first, second = Inbox(channel, queue), Inbox(channel, queue)
    channel.basic_cancel(first.tag)
    channel.queue_declare(queue, passive=True)
    channel.basic_cancel(second.tag)
    # Declared again with other properties, which would be refused if it still existed.
    channel.queue_declare(queue, durable=True)
