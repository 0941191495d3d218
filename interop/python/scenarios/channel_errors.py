from harness import Inbox, equal, refused, scenario


@scenario
def channel_error_leaves_the_connection_alive(broker):
    """Other channels go on, and the number of the closed one can be used again."""
    connection = broker.connect()
    bystander, victim = connection.channel(), connection.channel()
    queue = broker.queue(bystander)
    inbox = Inbox(bystander, queue, auto_ack=True)
    number = victim.channel_number
    missing = broker.name("exchange")
    with refused(404, f"NOT_FOUND - no exchange '{missing}' in vhost '/'"):
        victim.basic_publish(missing, "key", b"lost")
        victim.queue_declare(queue, passive=True)
    assert victim.is_closed and connection.is_open

    again = connection.channel(number)
    again.basic_publish("", queue, b"still alive")
    broker.wait_until(lambda: len(inbox) == 1, "the bystander gets a message")
    equal(inbox.bodies(), [b"still alive"])
