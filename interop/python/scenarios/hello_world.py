from harness import Inbox, equal, scenario


@scenario
def tutorial_1_hello_world(broker):
    """A message sent to a queue by its name arrives, with its properties, at a consumer."""
    sender, receiver = broker.channel(), broker.channel()
    queue = broker.queue(sender)
    inbox = Inbox(receiver, queue, auto_ack=True)
    sender.basic_publish("", queue, b"Hello World!")
    broker.wait_until(lambda: len(inbox) == 1, "the message arrives")
    message = inbox.deliveries[0]
    equal(message.body, b"Hello World!")
    equal((message.exchange, message.routing_key), ("", queue))
    equal(message.redelivered, False)
