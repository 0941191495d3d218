"""Taskiq with taskiq-aio-pika: quorum queues, delays by expiry and by exchange, retries, killed workers."""

import asyncio
import sys
import time

from harness import WORKERS, equal, scenario, script, skip

sys.path.insert(0, str(WORKERS))


def worker(broker, *options, name="worker", tasks="broker"):
    options = options or ["--workers", "1"]
    return broker.start(script("taskiq"), "worker", f"taskiq_app:{tasks}", *options, NAME=name)


def send(steps, tasks="broker"):
    """Run the steps with the application's broker, as a program does that only sends tasks."""
    app = __import__("taskiq_app")

    async def run():
        broker = getattr(app, tasks)
        await broker.startup()
        await steps(app)
        await broker.shutdown()

    asyncio.run(run())


@scenario
def several_processes(broker):
    """Two workers share a quorum queue."""

    async def steps(app):
        for number in range(100):
            await app.add.kiq(number, 1)

    worker(broker, "--workers", "2")
    send(steps)
    sums = [line.split()[0] for line in broker.wait_lines("sum", 100)]
    equal(sorted(map(int, sums)), list(range(1, 101)), "sums")
    equal(broker.queue("tasks")["type"], "quorum", "type")


@scenario
def delay_and_retry(broker):
    """Tasks for later wait in a queue until they expire there; a failed one is sent as such."""

    async def steps(app):
        await app.note.kicker().with_labels(delay=1).kiq("later")
        await app.flaky.kiq(2)

    worker(broker)
    sent = time.time()
    send(steps)
    [line] = broker.wait_lines("note", 1)
    assert float(line.split()[1]) >= sent + 1, f"it was sent at {sent}, and ran at {line}"
    equal(broker.wait_lines("try", 3), ["0", "1", "2"], "tries")


@scenario
def delays_by_exchange(broker):
    """`delayed_message_exchange_plugin=True`: tasks for later wait in an exchange."""
    kinds = {kind["name"] for kind in broker.ask("GET", "overview")["exchange_types"]}
    if "x-delayed-message" not in kinds:
        skip("it needs exchanges of the type x-delayed-message, which RabbitMQ has in a plugin")

    async def steps(app):
        await app.planned.kicker().with_labels(delay=1.5).kiq("later")
        await app.planned.kicker().with_labels(delay=0.5).kiq("sooner")

    worker(broker, tasks="planner")
    sent = time.time()
    send(steps, "planner")
    lines = [line.split() for line in broker.wait_lines("planned", 2)]
    equal([text for text, _ in lines], ["sooner", "later"], "order")
    assert float(lines[0][1]) >= sent + 0.5, f"they were sent at {sent}, and ran at {lines}"
    assert float(lines[1][1]) >= sent + 1.5, f"they were sent at {sent}, and ran at {lines}"


@scenario
def priorities(broker):
    """The label `priority`, in a queue with x-max-priority: the most important task comes first."""
    numbers = [5, 0, 9, 3, 3, 10, 1]

    async def steps(app):
        for number in numbers:
            await app.ordered.kicker().with_labels(priority=number).kiq(number)

    send(steps, "urgent")
    worker(broker, "--workers", "1", "--max-async-tasks", "1", tasks="urgent")
    order = [int(line) for line in broker.wait_lines("ordered", len(numbers))]
    equal(order, sorted(numbers, reverse=True), "order")


@scenario
def killed_worker(broker):
    """What a worker killed with SIGKILL had not finished is done by another one."""

    async def steps(app):
        for _ in range(3):
            await app.hold.kiq()

    first = worker(broker, name="first")
    send(steps)
    broker.wait_lines("hold", 3)
    second = worker(broker, name="second")
    first.kill()
    equal(sorted(broker.wait_lines("hold", 6)), ["first"] * 3 + ["second"] * 3, "who had them")
    broker.release("released")
    equal(broker.wait_lines("done", 3), ["second"] * 3, "who did them")
    second.stop()
