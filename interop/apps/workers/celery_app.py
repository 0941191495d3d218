"""A Celery application. `celery -A celery_app worker` runs its tasks."""

import os
import signal
import time

import journal
from celery import Celery
from celery.exceptions import Reject, SoftTimeLimitExceeded
from kombu import Queue

app = Celery("shop", broker=os.environ["AMQP_URI"], backend=os.environ.get("RESULTS", "rpc://"))
app.conf.update(
    broker_connection_retry_on_startup=True,
    # The publisher waits for the broker's confirm.
    broker_transport_options={"confirm_publish": True},
    worker_prefetch_multiplier=1,
    task_queues=[
        Queue("celery", routing_key="celery"),
        Queue("urgent", routing_key="urgent", queue_arguments={"x-max-priority": 10}),
        Queue(
            "strict",
            routing_key="strict",
            queue_arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"},
        ),
    ],
    beat_schedule={"tick": {"task": "celery_app.tick", "schedule": 0.5}},
    task_default_routing_key="celery",
    task_routes={"celery_app.ordered": {"queue": "urgent"}, "celery_app.refuse": {"queue": "strict"}},
)


@app.task
def add(x, y):
    return x + y


@app.task
def fail():
    raise KeyError("no such thing")


@app.task
def total(numbers):
    return sum(numbers)


@app.task
def note(*words):
    journal.write("note", *words, time.time())


@app.task(bind=True, acks_late=True)
def meet(self, count):
    """Wait until as many of these run at the same time. No worker takes more than it has processes."""
    journal.write("met", os.getpid())
    while len(journal.lines("met")) < count:
        time.sleep(0.02)
    return [self.request.hostname, os.getpid()]


@app.task(bind=True, max_retries=3)
def flaky(self, failures):
    journal.write("try", self.request.retries, time.time())
    if self.request.retries < failures:
        raise self.retry(countdown=0.5, exc=KeyError("not yet"))
    return self.request.retries


@app.task(autoretry_for=(KeyError,), max_retries=2, retry_backoff=False, default_retry_delay=0.1)
def hopeless():
    journal.write("hopeless")
    raise KeyError("never")


@app.task(bind=True, acks_late=True, reject_on_worker_lost=True)
def hold(self, value):
    journal.write("hold", self.request.hostname, self.request.delivery_info["redelivered"])
    journal.wait_for("released")
    return value


@app.task(bind=True, acks_late=True, reject_on_worker_lost=True)
def die_once(self):
    journal.write("die_once", self.request.delivery_info["redelivered"])
    if not self.request.delivery_info["redelivered"]:
        os.kill(os.getpid(), signal.SIGKILL)
    return "alive"


@app.task
def nap():
    journal.write("nap")
    journal.wait_for("never")


@app.task(soft_time_limit=1, time_limit=60)
def patient():
    try:
        journal.wait_for("never")
    except SoftTimeLimitExceeded:
        return "tidied up"


@app.task(time_limit=1)
def endless():
    journal.wait_for("never")


@app.task(acks_late=True)
def ordered(number):
    journal.write("ordered", number)


@app.task(bind=True, acks_late=True)
def refuse(self):
    raise Reject("not for me", requeue=False)


@app.task
def tick():
    journal.write("tick")
