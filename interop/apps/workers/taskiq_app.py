"""A Taskiq application. `taskiq worker taskiq_app:broker` runs its tasks."""

import os
import time

import journal
from taskiq import Context, SmartRetryMiddleware, TaskiqDepends
from taskiq_aio_pika import AioPikaBroker, Queue, QueueType

broker = AioPikaBroker(
    os.environ["AMQP_URI"],
    # Quorum queues are what taskiq-aio-pika declares if it is told nothing.
    task_queues=[Queue(name="tasks")],
    # Tasks for later wait here until they expire.
    delay_queue=Queue(name="tasks.delay", type=QueueType.CLASSIC),
).with_middlewares(SmartRetryMiddleware(default_retry_count=3, default_delay=0.2))


@broker.task
async def add(x: int, y: int) -> None:
    journal.write("sum", x + y, os.getpid())


@broker.task
async def note(text: str) -> None:
    journal.write("note", text, time.time())


@broker.task(retry_on_error=True)
async def flaky(failures: int, context: Context = TaskiqDepends()) -> None:
    tries = int(context.message.labels.get("_retries", 0))
    journal.write("try", tries)
    if tries < failures:
        raise KeyError("not yet")


@broker.task
async def hold() -> None:
    journal.write("hold", os.environ["NAME"])
    await journal.wait_for_async("released")
    journal.write("done", os.environ["NAME"])


# The delayed message exchange. It keeps tasks for later in the broker, in the order of their times.
planner = AioPikaBroker(
    os.environ["AMQP_URI"], task_queues=[Queue(name="plans")], delayed_message_exchange_plugin=True
)


@planner.task
async def planned(text: str) -> None:
    journal.write("planned", text, time.time())


# Priorities take a classic queue.
urgent = AioPikaBroker(
    os.environ["AMQP_URI"], qos=1, task_queues=[Queue(name="urgent", type=QueueType.CLASSIC, max_priority=10)]
)


@urgent.task
async def ordered(number: int) -> None:
    journal.write("ordered", number)
