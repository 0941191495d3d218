import pika

from harness import drain, equal, scenario


@scenario
def tutorial_7_confirms_one_by_one(broker):
    """Each publish returns once the broker has confirmed it."""
    channel = broker.channel()
    queue = broker.queue(channel, durable=True)
    channel.confirm_delivery()
    for n in range(20):
        channel.basic_publish("", queue, b"%d" % n, pika.BasicProperties(delivery_mode=2))
    broker.wait_ready(channel, queue, 20)


@scenario
def tutorial_7_confirms_in_batches(broker):
    """An asynchronous publisher sends 1000 messages before it looks at the confirms."""
    channel = broker.channel()
    queue = broker.queue(channel, durable=True)
    bodies = [b"%d" % n for n in range(1000)]
    unconfirmed = set(range(1, 1001))

    def opened(connection):
        connection.channel(on_open_callback=select)

    def select(channel):
        channel.confirm_delivery(confirmed, lambda _: publish(channel))

    def publish(channel):
        for body in bodies:
            channel.basic_publish("", queue, body, pika.BasicProperties(delivery_mode=2))

    def confirmed(frame):
        assert isinstance(frame.method, pika.spec.Basic.Ack), frame.method
        tag = frame.method.delivery_tag
        assert tag in unconfirmed, f"{tag} confirmed twice"
        done = {n for n in unconfirmed if n <= tag} if frame.method.multiple else {tag}
        unconfirmed.difference_update(done)
        if not unconfirmed:
            publisher.close()

    def failed(connection, error):
        connection.ioloop.stop()

    publisher = pika.SelectConnection(
        broker.parameters(), opened, failed, lambda connection, _: connection.ioloop.stop())
    publisher.ioloop.start()
    equal(unconfirmed, set(), "unconfirmed")
    equal([message.body for message in drain(channel, queue)], bodies, "messages in order")
