from harness import equal, get, refused, scenario


def filled(broker, channel):
    queue = broker.queue(channel)
    for n in range(5):
        channel.basic_publish("", queue, b"%d" % n)
    return queue


@scenario
def purge_counts_ready_messages_only(broker):
    channel = broker.channel()
    queue = filled(broker, channel)
    held = get(channel, queue, auto_ack=False)
    equal(channel.queue_purge(queue).method.message_count, 4)
    channel.basic_nack(held.tag, requeue=True)
    broker.wait_ready(channel, queue, 1)


@scenario
def delete_counts_ready_messages_only(broker):
    channel = broker.channel()
    queue = filled(broker, channel)
    held = get(channel, queue, auto_ack=False)
    equal(channel.queue_delete(queue).method.message_count, 4)
    channel.basic_ack(held.tag)  # Accepted, though the queue is gone.
    equal(channel.queue_delete(queue).method.message_count, 0, "deleting again")


@scenario
def conditional_delete_406(broker):
    connection = broker.connect()
    queue = filled(broker, connection.channel())
    resource = f"queue '{queue}' in vhost '/'"
    with refused(406, f"PRECONDITION_FAILED - {resource} not empty"):
        connection.channel().queue_delete(queue, if_empty=True)
    connection.channel().basic_consume(queue, lambda *_: None)
    with refused(406, f"PRECONDITION_FAILED - {resource} in use"):
        connection.channel().queue_delete(queue, if_unused=True)
