import time

import pika

from harness import drain, equal, needs_plugin, scenario

KIND, PLUGIN = "x-delayed-message", "rabbitmq_delayed_message_exchange (a community plugin)"


def delayed(broker, channel, kind="direct"):
    arguments = {"x-delayed-type": kind}
    exchange = broker.exchange(channel, KIND, arguments=arguments)
    queue = broker.queue(channel)
    channel.queue_bind(queue, exchange, "key")
    return exchange, queue


def publish(channel, exchange, delay, body):
    properties = pika.BasicProperties(headers={"x-delay": delay})
    channel.basic_publish(exchange, "key", body, properties)


@scenario
def delayed_message_exchange(broker):
    """Messages arrive when they are due, in that order, with the delay negated."""
    needs_plugin(broker, KIND, PLUGIN)
    channel = broker.channel()
    channel.confirm_delivery()
    exchange, queue = delayed(broker, channel)
    start = time.monotonic()
    for delay in [600, 200, 400]:
        publish(channel, exchange, delay, str(delay).encode())
    broker.wait_ready(channel, queue, 3)
    waited = time.monotonic() - start
    assert waited >= 0.6, f"all were there after {waited} s"
    found = drain(channel, queue)
    equal([delivery.body for delivery in found], [b"200", b"400", b"600"])
    delays = [delivery.properties.headers["x-delay"] for delivery in found]
    equal(delays, [-200, -400, -600])


@scenario
def delays_that_are_none(broker):
    """What is no delay is routed at once, and its header stays as it is."""
    needs_plugin(broker, KIND, PLUGIN)
    channel = broker.channel()
    channel.confirm_delivery()
    exchange, queue = delayed(broker, channel, "fanout")
    for delay in [0, -5, 2**32]:
        publish(channel, exchange, delay, b"now")
    channel.basic_publish(exchange, "key", b"now")
    broker.wait_ready(channel, queue, 4)
    headers = [(delivery.properties.headers or {}).get("x-delay") for delivery in drain(channel, queue)]
    equal(headers, [0, -5, 2**32, None])
