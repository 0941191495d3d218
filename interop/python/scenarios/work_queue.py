import pathlib
import subprocess
import sys

import pika

from harness import Inbox, equal, scenario

HOLDER = pathlib.Path(__file__).parent.parent / "workers" / "hold_one_task.py"


@scenario
def tutorial_2_work_queue_fair_dispatch(broker):
    """With prefetch 1, a worker busy with a long task gets no other; the idle ones take the rest."""
    boss = broker.channel()
    queue = broker.queue(boss, durable=True)
    busy, *idle = [broker.channel() for _ in range(3)]
    for channel in (busy, *idle):
        channel.basic_qos(prefetch_count=1)
    busy_inbox = Inbox(busy, queue)
    idle_inboxes = [Inbox(channel, queue, acknowledge=True) for channel in idle]

    tasks = [f"task {n}".encode() for n in range(10)]
    for task in tasks:
        boss.basic_publish("", queue, task, pika.BasicProperties(delivery_mode=2))
    broker.wait_until(lambda: sum(map(len, idle_inboxes)) == 9, "the idle workers did nine tasks")

    equal(len(busy_inbox), 1, "tasks of the busy worker")
    assert all(len(inbox) > 0 for inbox in idle_inboxes), "an idle worker got nothing"
    done = [body for inbox in (busy_inbox, *idle_inboxes) for body in inbox.bodies()]
    equal(sorted(done), sorted(tasks), "all tasks, each once")
    busy.basic_ack(busy_inbox.deliveries[0].tag)
    broker.wait_ready(boss, queue, 0)


@scenario
def tutorial_2_dead_worker_task_is_redelivered(broker):
    """The task of a killed worker process goes to another worker, marked redelivered."""
    boss = broker.channel()
    queue = broker.queue(boss, durable=True)
    boss.basic_publish("", queue, b"precious", pika.BasicProperties(delivery_mode=2))
    with subprocess.Popen(
        [sys.executable, HOLDER, broker.uri, queue], stdout=subprocess.PIPE, text=True
    ) as worker:
        equal(worker.stdout.readline(), "holding precious\n")
        survivor = Inbox(broker.channel(), queue, acknowledge=True)
        broker.wait_ready(boss, queue, 0)
        worker.kill()
    broker.wait_until(lambda: len(survivor) == 1, "the task reaches the surviving worker")
    equal(survivor.deliveries[0].body, b"precious")
    equal(survivor.deliveries[0].redelivered, True, "redelivered")
