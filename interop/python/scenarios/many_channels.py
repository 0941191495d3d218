from harness import Inbox, equal, scenario


@scenario
def many_channels_200(broker):
    """Two hundred channels on one connection, each with its own queue, consumer and message."""
    connection = broker.connect()
    inboxes = []
    for n in range(200):
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        inboxes.append(Inbox(channel, queue, auto_ack=True))
        channel.basic_publish("", queue, b"%d" % n)
    broker.wait_until(lambda: all(len(inbox) == 1 for inbox in inboxes), "every channel has its message")
    equal([inbox.bodies() for inbox in inboxes], [[b"%d" % n] for n in range(200)])
