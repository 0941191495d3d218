"""Celery: workers that are watched, told what to do, killed, stopped and cut off."""

import json
import re
import urllib.request

from harness import DEADLINE_SECONDS, equal, scenario, script
from scenarios.celery_tasks import load, value, worker


@scenario
def killed_worker(broker):
    """A task with acks_late whose worker is killed with SIGKILL is run by another one."""
    shop = load(broker)
    first = worker(broker, name="first")
    result = shop.hold.delay("done")
    equal(broker.wait_lines("hold", 1), ["first@here False"], "who has it")
    worker(broker, name="second")
    first.kill()
    equal(broker.wait_lines("hold", 2)[1], "second@here True", "who has it then")
    broker.release("released")
    equal(value(result), "done", "result")


@scenario
def lost_process(broker):
    """With task_reject_on_worker_lost a task whose process is killed goes back to the queue."""
    shop = load(broker)
    worker(broker)
    result = shop.die_once.delay()
    equal(value(result), "alive", "result")
    equal(broker.lines("die_once"), ["False", "True"], "redelivered")


@scenario
def warm_shutdown(broker):
    """SIGTERM lets a worker finish what it runs; what it has only reserved goes to another one."""
    shop = load(broker)
    first = worker(broker, name="first")
    running = shop.hold.delay("first task")
    broker.wait_lines("hold", 1)
    reserved = shop.hold.delay("second task")
    first.child.terminate()
    # It tells its consumers to stop before it waits for the task.
    broker.wait_until(lambda: "Warm shutdown" in "\n".join(first.log_lines()), "it shuts down")
    broker.release("released")
    equal(value(running), "first task", "result")
    equal(first.wait(), 0, "exit code")
    worker(broker, name="second")
    equal(value(reserved), "second task", "result")


@scenario
def lost_connection(broker):
    """A worker whose connections are closed by an operator connects again and goes on."""
    shop = load(broker)
    worker(broker)
    broker.wait_consumer("celery")
    broker.close_connections()
    equal(value(shop.add.delay(3, 4)), 7, "sum")


@scenario
def events(broker):
    """`worker -E` publishes what happens to its tasks, and `celery events` sees it."""
    shop = load(broker)
    dump = broker.start(script("celery"), "-A", "celery_app", "events", "--dump", PYTHONUNBUFFERED="1")
    broker.wait_consumers(1)
    worker(broker, "-c", "1", "-E")
    equal(value(shop.add.delay(1, 2)), 3, "sum")
    for event in ("] started", "task received", "task started", "task succeeded"):
        broker.wait_until(lambda: event in "\n".join(dump.log_lines()), f"{event!r} is seen")


@scenario
def remote_control(broker):
    """Workers answer `celery inspect` and obey `celery control`."""
    shop = load(broker)
    workers = {f"{name}@here": worker(broker, name=name) for name in ("first", "second")}
    control = shop.app.control

    def answers(question, name, **options):
        """What a worker answers; None if it has not within 5 seconds."""
        inspect = control.inspect(destination=[name], timeout=5, limit=1)
        return (getattr(inspect, question)(**options) or {}).get(name)

    for name in workers:
        broker.wait_until(lambda: answers("ping", name) == {"ok": "pong"}, f"{name} answers a ping")
    task = shop.hold.delay("done")
    holder = broker.wait_lines("hold", 1)[0].split()[0]
    ids = lambda: [task["id"] for task in answers("active", holder) or []]
    broker.wait_until(lambda: ids() == [task.id], f"{holder} shows its task as active")
    broker.release("released")
    equal(value(task), "done", "result")

    queues = lambda: {queue["name"] for queue in answers("active_queues", "first@here") or []}
    control.add_consumer("extra", destination=["first@here"])
    broker.wait_until(lambda: "extra" in queues(), "a worker consumes from another queue")
    equal(value(shop.add.apply_async((1, 2), queue="extra")), 3, "sum")
    control.cancel_consumer("extra", destination=["first@here"])
    broker.wait_until(lambda: broker.queue("extra").get("consumers") == 0, "it does no more")
    control.shutdown()
    for name, process in workers.items():
        equal(process.wait(), 0, f"exit code of {name}")


@scenario
def flower(broker):
    """Flower shows workers and tasks, and the length of queues by its `broker_api`: the HTTP API."""
    shop = load(broker)
    worker(broker, "-c", "1", "-E")
    api = f"{broker.http_uri}/api/".replace("://", f"://{broker.user}:{broker.password}@")
    command = [script("celery"), "-A", "celery_app", "flower", "--address=127.0.0.1", "--port=0"]
    server = broker.start(*command, f"--broker_api={api}", FLOWER_UNAUTHENTICATED_API="true")
    banner = lambda: re.search(r"Visit me at (http://\S+)", "\n".join(server.log_lines()))
    address = broker.wait_until(banner, "it says where it is")[1]

    def page(path):
        try:
            with urllib.request.urlopen(f"{address}/{path}", timeout=DEADLINE_SECONDS) as answer:
                return answer.read().decode()
        except OSError:
            return "{}"

    broker.wait_until(lambda: "worker@here" in json.loads(page("api/workers?refresh=1")), "it shows the worker")
    task = shop.add.delay(1, 2)
    state = lambda: json.loads(page("api/tasks")).get(task.id, {}).get("state")
    broker.wait_until(lambda: state() == "SUCCESS", "it shows that the task has succeeded")
    # Flower asks about the queues of its workers, and the default one.
    expected = {"celery": 0, "strict": 0, "urgent": 0}

    def lengths():
        queues = json.loads(page("api/queues/length")).get("active_queues", [])
        return {queue["name"]: queue.get("messages") for queue in queues}

    broker.wait_until(lambda: lengths() == expected, f"it shows {expected}")
