from harness import Inbox, equal, scenario


@scenario
def tutorial_3_publish_subscribe(broker):
    """A fanout exchange copies each message to every exclusive, server-named queue bound to it."""
    sender = broker.channel()
    logs = broker.exchange(sender, "fanout")
    inboxes = []
    for _ in range(3):
        channel = broker.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        assert queue.startswith("amq.gen-"), queue
        channel.queue_bind(queue, logs)
        inboxes.append(Inbox(channel, queue, auto_ack=True))
    lines = [b"one", b"two", b"three"]
    for line in lines:
        sender.basic_publish(logs, "the key is ignored", line)
    broker.wait_until(lambda: all(len(inbox) == 3 for inbox in inboxes), "all subscribers have all")
    for inbox in inboxes:
        equal(inbox.bodies(), lines)
        equal(inbox.deliveries[0].exchange, logs)
