"""A Celery application on quorum queues. Its exchange is a topic one: delays need that."""

import os
import time

import journal
from celery import Celery
from kombu import Exchange, Queue

app = Celery("warehouse", broker=os.environ["AMQP_URI"], backend="rpc://")
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_transport_options={"confirm_publish": True},
    task_default_queue_type="quorum",
    task_default_exchange_type="topic",
    task_queues=[
        Queue(
            "celery",
            Exchange("celery", type="topic"),
            routing_key="celery",
            queue_arguments={"x-queue-type": "quorum"},
        )
    ],
    worker_detect_quorum_queues=True,
    broker_native_delayed_delivery_queue_type="quorum",
)


@app.task
def add(x, y):
    return x + y


@app.task
def note(*words):
    journal.write("note", *words, time.time())


@app.task(bind=True)
def flaky(self, failures):
    if self.request.retries < failures:
        raise self.retry(countdown=2)
    return self.request.retries
