"""Celery: tasks, results, and when and in which order they are run."""

import os
import sys
import time

from celery import chain, chord, group
from celery.exceptions import TaskRevokedError, TimeLimitExceeded
from kombu import Queue
from harness import DEADLINE_SECONDS, WORKERS, equal, scenario, script


def load(broker, module="celery_app", **environment):
    """The application as the programs that send tasks see it. Workers get the same environment."""
    os.environ.update(environment)
    sys.path.insert(0, str(WORKERS))
    return __import__(module)


def worker(broker, *options, app="celery_app", name="worker"):
    command = [script("celery"), "-A", app, "worker", "-n", f"{name}@here", "-l", "INFO"]
    return broker.start(*command, *(options or ["-c", "1"]))


def value(result):
    return result.get(timeout=DEADLINE_SECONDS)


def failure(result):
    value_or_error = result.get(timeout=DEADLINE_SECONDS, propagate=False)
    assert isinstance(value_or_error, Exception), f"{value_or_error!r} is no failure"
    return value_or_error


@scenario
def results(broker):
    """Two workers with two processes each; values and exceptions come back through rpc://."""
    shop = load(broker)
    worker(broker, "-c", "2", name="first")
    worker(broker, "-c", "2", name="second")
    met = [value(result) for result in [shop.meet.delay(4) for _ in range(4)]]
    equal(sorted(name for name, _ in met), ["first@here"] * 2 + ["second@here"] * 2, "who met")
    equal(len({pid for _, pid in met}), 4, "processes")
    sums = [shop.add.delay(number, 1) for number in range(100)]
    equal([value(result) for result in sums], list(range(1, 101)), "sums")
    equal(repr(failure(shop.fail.delay())), repr(KeyError("no such thing")), "exception")


@scenario
def retry(broker):
    """A task that fails is published again with a countdown, until it has had enough."""
    shop = load(broker)
    worker(broker)
    equal(value(shop.flaky.delay(2)), 2, "retries")
    tries = [line.split() for line in broker.lines("try")]
    equal([number for number, _ in tries], ["0", "1", "2"], "tries")
    times = [float(time) for _, time in tries]
    assert times[1] >= times[0] + 0.5 and times[2] >= times[1] + 0.5, f"too early: {times}"
    equal(repr(failure(shop.flaky.delay(9))), repr(KeyError("not yet")), "the last failure")
    equal(repr(failure(shop.hopeless.delay())), repr(KeyError("never")), "the last failure")
    equal(len(broker.lines("hopeless")), 3, "tries")


@scenario
def countdown(broker):
    """Tasks for later do not keep others waiting: the worker holds them, and raises its prefetch count."""
    shop = load(broker)
    worker(broker)
    for _ in range(5):
        shop.note.apply_async(("never",), countdown=3600)
    sent = time.time()
    soon = shop.note.apply_async(("soon",), countdown=1)
    equal(value(shop.add.delay(1, 2)), 3, "sum")
    value(soon)
    [(word, ran)] = [line.split() for line in broker.lines("note")]
    equal(word, "soon", "what ran")
    assert float(ran) >= sent + 1, f"it was sent at {sent}, and ran at {ran}"


@scenario
def rate_limit(broker):
    """A worker that is told a rate keeps to it."""
    shop = load(broker)
    worker(broker)
    equal(value(shop.add.delay(1, 2)), 3, "sum")  # The worker is there.
    told = shop.app.control.rate_limit("celery_app.note", "5/s", reply=True, timeout=30, limit=1)
    assert "ok" in told[0]["worker@here"], told
    for result in [shop.note.delay(number) for number in range(6)]:
        value(result)
    times = [float(line.split()[1]) for line in broker.lines("note")]
    assert times[-1] - times[0] >= 0.9, f"5 in a second, but these ran at {times}"


@scenario
def groups_chains_and_chords(broker):
    """Results in files, since rpc:// cannot wait for all of a group in another process."""
    results = broker.folder / "results"
    results.mkdir()
    shop = load(broker, RESULTS=f"file://{results}")
    worker(broker, "-c", "2")
    pairs = [shop.add.s(number, number) for number in range(10)]
    equal(value(group(pairs)()), [2 * number for number in range(10)], "group")
    equal(value(chain(shop.add.s(1, 2), shop.add.s(4), shop.add.s(8))()), 15, "chain")
    equal(value(chord(pairs)(shop.total.s())), 90, "chord")


@scenario
def revoke(broker):
    """A task that waits is dropped, one that runs is killed, and the worker goes on."""
    shop = load(broker)
    worker(broker)
    running = shop.nap.delay()
    broker.wait_lines("nap", 1)
    waiting = shop.note.delay("waited")
    waiting.revoke()
    running.revoke(terminate=True)
    for result in (running, waiting):
        assert isinstance(failure(result), TaskRevokedError), result
        equal(result.state, "REVOKED", "state")
    equal(value(shop.add.delay(1, 2)), 3, "sum")
    equal(broker.lines("note"), [], "notes")


@scenario
def time_limits(broker):
    """A soft limit can be caught, a hard one kills the process, and the next task gets a new one."""
    shop = load(broker)
    worker(broker)
    equal(value(shop.patient.delay()), "tidied up", "after the soft limit")
    assert isinstance(failure(shop.endless.delay()), TimeLimitExceeded)
    equal(value(shop.add.delay(1, 2)), 3, "sum")


@scenario
def priorities(broker):
    """Of what waits in a queue with x-max-priority the most important comes first."""
    shop = load(broker)
    shop.app.amqp.queues["urgent"](shop.app.connection_for_write().default_channel).declare()
    numbers = [5, 0, 9, 3, 3, 10, 1]
    sent = [shop.ordered.apply_async((number,), priority=number) for number in numbers]
    worker(broker, "-c", "1", "-Q", "urgent")
    for result in sent:
        value(result)
    equal(broker.lines("ordered"), [str(number) for number in sorted(numbers, reverse=True)], "order")


@scenario
def dead_letters(broker):
    """A task rejected without requeueing goes where x-dead-letter-exchange says."""
    shop = load(broker)
    worker(broker, "-c", "1", "-Q", "strict")
    with shop.app.connection_for_read() as connection:
        queue = Queue("dead")(connection.default_channel)
        queue.declare()
        identity = shop.refuse.delay().id
        message = broker.wait_until(lambda: queue.get(no_ack=True), "there is a dead letter")
    equal(message.headers["id"], identity, "task")
    equal(message.headers["x-death"][0]["reason"], "rejected", "reason")
    equal(message.headers["x-death"][0]["queue"], "strict", "queue")


@scenario
def schedule(broker):
    """`celery beat` sends what is due, again and again."""
    load(broker)
    worker(broker)
    broker.start(script("celery"), "-A", "celery_app", "beat", "-s", broker.folder / "beat")
    broker.wait_lines("tick", 3)


@scenario
def quorum_queues(broker):
    """`task_default_queue_type = "quorum"`: tasks for later wait in queues of the broker, not in the worker."""
    shop = load(broker, "celery_quorum_app")
    first = worker(broker, app="celery_quorum_app")
    equal(value(shop.add.delay(1, 2)), 3, "sum")
    equal(broker.queue("celery")["type"], "quorum", "type")
    broker.wait_until(lambda: broker.queue("celery_delayed_0"), "the queues for delays are there")
    sent = time.time()
    soon = shop.note.apply_async(("soon",), countdown=3)
    retried = shop.flaky.delay(1)
    value(soon)
    equal(value(retried), 1, "retries")
    [(_, ran)] = [line.split() for line in broker.lines("note")]
    assert float(ran) >= sent + 3, f"it was sent at {sent}, and ran at {ran}"
    waits = shop.note.apply_async(("much later",), countdown=1 << 20)
    waiting = lambda: broker.messages("celery_delayed_20") == 1
    broker.wait_until(waiting, f"{waits.id} waits in the queue for 2^20 seconds")
    equal(first.stop(), 0, "exit code")
