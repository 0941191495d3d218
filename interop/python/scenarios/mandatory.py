import pika
import pika.exceptions

from harness import drain, equal, scenario


@scenario
def mandatory_message_is_returned_before_its_ack(broker):
    """Without a route, a mandatory message comes back whole, and only then is it confirmed."""
    events = []

    def opened(connection):
        connection.channel(on_open_callback=select)

    def select(channel):
        channel.add_on_return_callback(
            lambda _, method, properties, body: events.append(
                ("return", method.reply_code, method.reply_text, method.exchange,
                 method.routing_key, properties.message_id, body)))
        channel.confirm_delivery(confirmed, lambda _: publish(channel))

    def publish(channel):
        properties = pika.BasicProperties(message_id="m-1")
        channel.basic_publish("amq.direct", "no such key", b"stray", properties, mandatory=True)

    def confirmed(frame):
        events.append((frame.method.NAME, frame.method.delivery_tag))
        publisher.close()

    def stop(connection, _reason):
        connection.ioloop.stop()

    publisher = pika.SelectConnection(broker.parameters(), opened, stop, stop)
    publisher.ioloop.start()
    equal(events, [
        ("return", 312, "NO_ROUTE", "amq.direct", "no such key", "m-1", b"stray"),
        ("Basic.Ack", 1)])


@scenario
def mandatory_message_with_a_route_is_not_returned(broker):
    channel = broker.channel()
    queue = broker.queue(channel)
    channel.confirm_delivery()
    channel.basic_publish("", queue, b"routed", mandatory=True)
    try:
        channel.basic_publish("", broker.name(), b"stray", mandatory=True)
    except pika.exceptions.UnroutableError as error:
        equal([message.body for message in error.messages], [b"stray"])
    else:
        raise AssertionError("the unroutable message was not returned")
    equal([message.body for message in drain(channel, queue)], [b"routed"])
