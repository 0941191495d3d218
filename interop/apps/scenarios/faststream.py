"""FastStream: subscribers and publishers, questions, and what becomes of failures."""

import asyncio

from faststream.rabbit import ExchangeType, QueueType, RabbitBroker, RabbitExchange, RabbitQueue
from harness import DEADLINE_SECONDS, equal, scenario, script


def service(broker, name="service"):
    return broker.start(script("faststream"), "run", "faststream_app:app", NAME=name)


def ask(broker, steps):
    """Run the steps with a FastStream broker that is connected, as programs without subscribers have."""

    async def run():
        async with RabbitBroker(broker.uri) as client:
            return await steps(client)

    return asyncio.run(run())


def publish(broker, *messages, **options):
    async def steps(client):
        for message in messages:
            await client.publish(message, **options)

    ask(broker, steps)


@scenario
def publisher_and_subscriber(broker):
    """What a subscriber returns is published to the next one; messages are checked by their types."""
    service(broker)
    broker.wait_consumer("orders")
    broker.wait_consumer("bills")
    publish(broker, *({"item": "tea", "pieces": number} for number in range(50)), queue="orders")
    equal(sorted(broker.wait_lines("bill", 50)), sorted(f"{n} x tea" for n in range(50)), "bills")


@scenario
def request_and_response(broker):
    """`request` goes through direct reply-to."""
    service(broker)
    broker.wait_consumer("double")

    async def steps(client):
        questions = [client.request(number, "double", timeout=DEADLINE_SECONDS) for number in range(50)]
        return [await answer.decode() for answer in await asyncio.gather(*questions)]

    equal(ask(broker, steps), [2 * number for number in range(50)], "answers")


@scenario
def topic_patterns(broker):
    """A topic exchange and queues bound to it, declared by the decorators."""
    service(broker)
    broker.wait_consumer("all logs")
    broker.wait_consumer("errors")
    exchange = RabbitExchange("logs", type=ExchangeType.TOPIC)
    for key in ("logs.disk.error", "logs.disk.info", "logs.net.error"):
        publish(broker, key, exchange=exchange, routing_key=key)
    broker.wait_lines("all", 3)
    equal(sorted(broker.wait_lines("error", 2)), ["logs.disk.error", "logs.net.error"], "errors")


@scenario
def dead_letters(broker):
    """Failures are rejected at once, or taken back as often as the delivery limit says."""
    service(broker)
    broker.wait_consumer("rejected")
    broker.wait_consumer("retried")

    ask(broker, lambda client: client.declare_queue(RabbitQueue("dead")))
    for count, queue in enumerate(("rejected", "retried"), start=1):
        publish(broker, "fails", queue=queue)
        broker.wait_until(lambda: broker.messages("dead") == count, f"a dead letter came from {queue}")

    async def deaths(client):
        queue = await client.declare_queue(RabbitQueue("dead"))
        letters = [await queue.get(no_ack=True) for _ in range(2)]
        return [(letter.headers["x-death"][0]["queue"], letter.headers["x-death"][0]["reason"]) for letter in letters]

    equal(ask(broker, deaths), [("rejected", "rejected"), ("retried", "delivery_limit")], "dead letters")
    equal(broker.lines("nacked"), ["0", "1", "2"], "deliveries")


@scenario
def killed_service(broker):
    """What a service killed with SIGKILL was at is done by another one."""
    first = service(broker, "first")
    broker.wait_consumer("held")
    publish(broker, "work", queue="held")
    equal(broker.wait_lines("held", 1), ["first False"], "who has it")
    service(broker, "second")
    first.kill()
    equal(broker.wait_lines("held", 2)[1], "second True", "who has it then")
    broker.release("released")
    equal(broker.wait_lines("done", 1), ["second"], "who did it")


@scenario
def stream_from_its_start(broker):
    """A subscriber of a stream reads it from the first message on, and so does the next one."""
    queue = RabbitQueue("history", queue_type=QueueType.STREAM)
    ask(broker, lambda client: client.declare_queue(queue))
    publish(broker, *range(20), queue="history")
    first = service(broker, "first")
    equal(broker.wait_lines("history", 20), [str(number) for number in range(20)], "history")
    first.kill()
    service(broker, "second")
    equal(broker.wait_lines("history", 40)[20:], [str(number) for number in range(20)], "history again")
