"""Symfony Messenger with its AMQP transport: polling, delays, retries, the failure transport, killed workers."""

import time

from harness import equal, scenario


def worker(broker, *transports, name="worker"):
    return broker.start("php", "messenger.php", "messenger:consume", "--sleep=0.05", *(transports or ["async"]), NAME=name)


def dispatch(broker, *words):
    equal(broker.start("php", "messenger.php", "dispatch", *words).wait(), 0, "exit code")


@scenario
def send_and_handle(broker):
    """Exchange and queue are declared by who comes first; two workers poll the queue."""
    for number in range(5):
        dispatch(broker, "Note", number)
    workers = [worker(broker), worker(broker)]
    notes = [line.split()[0] for line in broker.wait_lines("note", 5)]
    equal(sorted(notes), ["0", "1", "2", "3", "4"], "notes")
    for process in workers:
        equal(process.stop(), 0, "exit code")


@scenario
def delay(broker):
    """A delayed message waits in a queue for its delay, and is a dead letter to the exchange afterwards."""
    worker(broker)
    sent = time.time()
    dispatch(broker, "Note", "later", 1500)
    dispatch(broker, "Note", "sooner", 500)
    lines = [line.split() for line in broker.wait_lines("note", 2)]
    equal({text for text, _ in lines}, {"sooner", "later"}, "notes")
    for text, ran in lines:
        wait = {"sooner": 0.5, "later": 1.5}[text]
        assert float(ran) >= sent + wait, f"{text} was sent after {sent}, and ran at {ran}"


@scenario
def retry(broker):
    """What fails is tried again after growing delays; what fails too often goes to the failure transport."""
    worker(broker)
    dispatch(broker, "Fragile", 99)
    equal(broker.wait_lines("try", 3), ["0", "1", "2"], "tries")
    broker.wait_until(lambda: broker.messages("failed") == 1, "it is in the failure transport")
    equal(len(broker.lines("try")), 3, "tries")


@scenario
def priorities(broker):
    """A transport whose queue has x-max-priority, and a transport that comes before another one."""
    numbers = [5, 0, 9, 3, 3, 10, 1]
    for number in numbers:
        dispatch(broker, "Urgent", number)
    dispatch(broker, "Note", "last")
    worker(broker, "urgent", "async")
    broker.wait_lines("note", 1)
    equal(broker.lines("urgent"), [str(number) for number in sorted(numbers, reverse=True)], "order")


@scenario
def killed_worker(broker):
    """What a worker killed with SIGKILL had not handled is handled by another one."""
    first = worker(broker, name="first")
    dispatch(broker, "Hold")
    equal(broker.wait_lines("hold", 1), ["first"], "who has it")
    second = worker(broker, name="second")
    first.kill()
    equal(broker.wait_lines("hold", 2)[1], "second", "who has it then")
    broker.release("released")
    equal(broker.wait_lines("done", 1), ["second"], "who did it")
    equal(second.stop(), 0, "exit code")
