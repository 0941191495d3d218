from harness import Inbox, drain, equal, refused, scenario


@scenario
def ack_multiple_settles_all_up_to_the_tag(broker):
    channel = broker.channel()
    queue = broker.queue(channel)
    consumer = channel.connection.channel()
    inbox = Inbox(consumer, queue)
    for n in range(10):
        channel.basic_publish("", queue, b"%d" % n)
    broker.wait_until(lambda: len(inbox) == 10, "all ten are delivered")
    equal([message.tag for message in inbox.deliveries], list(range(1, 11)), "delivery tags")
    consumer.basic_ack(7, multiple=True)
    consumer.close()
    broker.wait_ready(channel, queue, 3)
    equal([message.body for message in drain(channel, queue)], [b"7", b"8", b"9"])


@scenario
def ack_zero_multiple_settles_everything(broker):
    channel = broker.channel()
    queue = broker.queue(channel)
    consumer = channel.connection.channel()
    inbox = Inbox(consumer, queue)
    for n in range(4):
        channel.basic_publish("", queue, b"%d" % n)
    broker.wait_until(lambda: len(inbox) == 4, "all four are delivered")
    consumer.basic_ack(0, multiple=True)
    consumer.basic_ack(0, multiple=True)  # With nothing outstanding it does nothing.
    consumer.close()
    equal(channel.queue_delete(queue).method.message_count, 0)


@scenario
def unknown_delivery_tag_406(broker):
    connection = broker.connect()
    for settle in ("basic_ack", "basic_nack", "basic_reject"):
        channel = connection.channel()
        with refused(406, "PRECONDITION_FAILED - unknown delivery tag 99"):
            getattr(channel, settle)(99)
            channel.queue_declare("", exclusive=True)


@scenario
def second_ack_of_a_tag_406(broker):
    channel = broker.channel()
    queue = broker.queue(channel)
    inbox = Inbox(channel, queue)
    channel.basic_publish("", queue, b"once")
    broker.wait_until(lambda: len(inbox) == 1, "it is delivered")
    channel.basic_ack(1)
    with refused(406, "PRECONDITION_FAILED - unknown delivery tag 1"):
        channel.basic_ack(1)
        channel.queue_declare(queue, passive=True)
