import pika
import pika.exceptions

from harness import Inbox, equal, scenario


@scenario
def reconnect_after_broker_restart(broker):
    """A client that connects again finds its queue, and what was confirmed before."""
    restart = broker.restartable()
    channel = broker.channel()
    channel.confirm_delivery()
    queue = broker.queue(channel, durable=True)
    channel.basic_publish("", queue, b"before", pika.BasicProperties(delivery_mode=2))
    restart()
    try:
        broker.wait_until(lambda: channel.connection.is_closed, "the connection is closed")
    except pika.exceptions.ConnectionClosedByBroker as error:
        equal(error.reply_code, 320, "reply code")

    channel = broker.channel()
    inbox = Inbox(channel, queue, auto_ack=True)
    channel.basic_publish("", queue, b"after")
    broker.wait_until(lambda: len(inbox) == 2, "both are there")
    equal(inbox.bodies(), [b"before", b"after"])
