import pika

from harness import drain, equal, needs_plugin, scenario

KIND, PLUGIN = "x-message-deduplication", "rabbitmq_message_deduplication (a community plugin)"


def publish(channel, exchange, key, values):
    for value in values:
        properties = pika.BasicProperties(headers={"x-deduplication-header": value})
        channel.basic_publish(exchange, key, value.encode(), properties)


@scenario
def deduplicating_exchange(broker):
    """Each value passes once, whether or not its message is still there."""
    needs_plugin(broker, KIND, PLUGIN)
    channel = broker.channel()
    channel.confirm_delivery()
    exchange = broker.exchange(channel, KIND, arguments={"x-cache-size": 100})
    queue = broker.queue(channel)
    channel.queue_bind(queue, exchange)
    publish(channel, exchange, "", "abacab")
    equal([delivery.body for delivery in drain(channel, queue)], [b"a", b"b", b"c"])
    publish(channel, exchange, "", "abcd")
    equal([delivery.body for delivery in drain(channel, queue)], [b"d"])


@scenario
def deduplicating_queue(broker):
    """A value is refused as long as a message with it is in the queue."""
    needs_plugin(broker, KIND, PLUGIN)
    channel = broker.channel()
    queue = broker.queue(channel, arguments={KIND: True})
    publish(channel, "", queue, "abacab")
    broker.wait_ready(channel, queue, 3)
    equal([delivery.body for delivery in drain(channel, queue)], [b"a", b"b", b"c"])
    publish(channel, "", queue, "aba")
    broker.wait_ready(channel, queue, 2)
    equal([delivery.body for delivery in drain(channel, queue)], [b"a", b"b"])
