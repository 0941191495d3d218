from harness import Inbox, equal, scenario


@scenario
def tutorial_4_routing(broker):
    """A direct exchange routes by equal key; one queue may be bound with several keys."""
    sender = broker.channel()
    logs = broker.exchange(sender, "direct")

    def subscribe(*severities):
        channel = broker.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        for severity in severities:
            channel.queue_bind(queue, logs, severity)
        return Inbox(channel, queue, auto_ack=True)

    disk, screen = subscribe("error"), subscribe("info", "warning", "error")
    for severity in ("info", "debug", "error", "warning"):
        sender.basic_publish(logs, severity, severity.encode())
    broker.wait_until(lambda: len(disk) == 1 and len(screen) == 3, "the logs arrive")
    equal(disk.bodies(), [b"error"])
    equal(screen.bodies(), [b"info", b"error", b"warning"])
