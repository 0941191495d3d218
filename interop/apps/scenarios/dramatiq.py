"""Dramatiq: its queues for delays and dead letters, and workers that die."""

import sys
import time

from harness import WORKERS, equal, scenario, script


def load():
    sys.path.insert(0, str(WORKERS))
    return __import__("dramatiq_app")


def worker(broker, *options, name="worker"):
    options = options or ["--processes", "1", "--threads", "2"]
    return broker.start(script("dramatiq"), "dramatiq_app", *options, NAME=name)


@scenario
def several_processes(broker):
    """Messages are shared by processes and threads, and one actor calls the next."""
    app = load()
    worker(broker, "--processes", "2", "--threads", "4")
    for number in range(100):
        app.add.send(number, 1)
    sums = broker.wait_lines("sum", 100)
    equal(sorted(map(int, sums)), list(range(1, 101)), "sums")
    (app.add.message(1, 2) | app.add.message(4) | app.add.message(8)).run()
    equal(broker.wait_lines("sum", 103)[-1], "15", "the end of the pipeline")


@scenario
def retry(broker):
    """A failed message goes through the queue for delayed ones (.DQ) and comes back."""
    app = load()
    worker(broker)
    app.flaky.send(3)
    equal(broker.wait_lines("try", 4), ["0", "1", "2", "3"], "tries")
    empty = lambda: all(broker.messages(name) == 0 for name in ("default", "default.DQ", "default.XQ"))
    broker.wait_until(empty, "nothing is left")


@scenario
def dead_letters(broker):
    """What fails too often is rejected, and the broker moves it to the queue of dead letters (.XQ)."""
    app = load()
    worker(broker)
    sent = app.hopeless.send("never")
    broker.wait_until(lambda: broker.messages("hopeless.XQ") == 1, "there is a dead letter")
    equal(len(broker.lines("hopeless")), 2, "tries")
    _method, properties, body = app.broker.channel.basic_get("hopeless.XQ")
    equal(app.dramatiq.Message.decode(body).message_id, sent.message_id, "message")
    [death] = [death for death in properties.headers["x-death"] if death["queue"] == "hopeless"]
    equal((death["reason"], death["count"]), ("rejected", 1), "death")


@scenario
def delay(broker):
    """A delayed message is held by a worker until its time."""
    app = load()
    worker(broker)
    sent = time.time()
    app.note.send_with_options(args=("later",), delay=1000)
    app.add.send(1, 2)
    broker.wait_lines("sum", 1)
    [line] = broker.wait_lines("note", 1)
    assert float(line.split()[1]) >= sent + 1, f"it was sent at {sent}, and ran at {line}"


@scenario
def priorities(broker):
    """`broker_priority` in queues with x-max-priority: the most important message comes first."""
    app = load()
    numbers = [5, 0, 9, 3, 3, 10, 1]
    for number in numbers:
        app.ordered.send_with_options(args=(number,), broker_priority=number)
    broker.start(
        script("dramatiq"), "dramatiq_app", "--processes=1", "--threads=1", "-Q", "ordered", dramatiq_queue_prefetch="1"
    )
    equal(broker.wait_lines("ordered", len(numbers)), [str(n) for n in sorted(numbers, reverse=True)], "order")


@scenario
def killed_worker(broker):
    """What a worker killed with SIGKILL had not finished is done by another one."""
    app = load()
    first = worker(broker, "--processes", "1", "--threads", "1", name="first")
    for _ in range(3):
        app.hold.send()
    broker.wait_lines("hold", 1)
    first.kill()
    broker.release("released")
    second = worker(broker, name="second")
    equal(broker.wait_lines("released", 3), ["second"] * 3, "who did them")
    equal(second.stop(), 0, "exit code")
