"""A Dramatiq application. `dramatiq dramatiq_app` runs its actors."""

import os
import time

import dramatiq
import journal
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.middleware import CurrentMessage

broker = RabbitmqBroker(url=os.environ["AMQP_URI"], confirm_delivery=True, max_priority=10)
broker.add_middleware(CurrentMessage())
dramatiq.set_broker(broker)


@dramatiq.actor
def add(x, y):
    journal.write("sum", x + y)
    return x + y


@dramatiq.actor(max_retries=5, min_backoff=200, max_backoff=400)
def flaky(failures):
    tries = CurrentMessage.get_current_message().options.get("retries", 0)
    journal.write("try", tries)
    if tries < failures:
        raise KeyError("not yet")


@dramatiq.actor(queue_name="hopeless", max_retries=1, min_backoff=100)
def hopeless(reason):
    journal.write("hopeless")
    raise KeyError(reason)


@dramatiq.actor
def note(text):
    journal.write("note", text, time.time())


@dramatiq.actor(queue_name="ordered")
def ordered(number):
    journal.write("ordered", number)


@dramatiq.actor(queue_name="held", time_limit=600_000)
def hold():
    journal.write("hold", os.environ["NAME"])
    journal.wait_for("released")
    journal.write("released", os.environ["NAME"])
