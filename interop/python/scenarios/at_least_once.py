import os
import sys

import pika
from harness import drain, equal, get, ready, scenario

PATIENCE = int(os.environ.get("INTEROP_SCENARIO_SECONDS", 60))

SURE = {
    "x-queue-type": "quorum",
    "x-dead-letter-exchange": "",
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
}


def reject(channel, queue, body):
    channel.basic_publish("", queue, body)
    message = get(channel, queue, auto_ack=False)
    equal(message.body, body)
    channel.basic_reject(message.tag, requeue=False)


def death(message):
    [death] = message.properties.headers["x-death"]
    return death["queue"], death["reason"], death["count"]


@scenario
def dead_letters_that_have_to_arrive_arrive(broker):
    channel = broker.channel()
    channel.confirm_delivery()
    grave = broker.queue(channel, durable=True)
    arguments = SURE | {"x-dead-letter-routing-key": grave, "x-delivery-limit": 0}
    queue = broker.queue(channel, durable=True, arguments=arguments)
    reject(channel, queue, b"1")
    channel.basic_publish("", queue, b"2")
    channel.basic_nack(get(channel, queue, auto_ack=False).tag, requeue=True)
    broker.wait_ready(channel, grave, 2)
    letters = drain(channel, grave)
    equal([letter.body for letter in letters], [b"1", b"2"])
    equal([death(letter) for letter in letters], [(queue, "rejected", 1), (queue, "delivery_limit", 1)])


@scenario
def dead_letters_without_a_way_count_against_the_limit_of_their_queue(broker):
    channel, missing = broker.channel(), broker.name("queue")
    channel.confirm_delivery()
    arguments = SURE | {"x-dead-letter-routing-key": missing, "x-max-length": 1}
    queue = broker.queue(channel, durable=True, arguments=arguments)
    reject(channel, queue, b"1")

    def is_refused():
        # RabbitMQ may let in a little more than the limit.
        try:
            channel.basic_publish("", queue, b"more")
        except pika.exceptions.NackError:
            return True
        message = get(channel, queue, auto_ack=False)
        if message is not None:
            channel.basic_reject(message.tag, requeue=False)
        return False

    broker.wait_until(is_refused, "a refusal")
    equal(ready(channel, queue), 0)
    equal(channel.queue_purge(queue).method.message_count, 0)
    broker.wait_until(is_refused, "a refusal: a purge leaves dead letters that wait")


@scenario
def dead_letters_that_a_full_queue_refuses_arrive_later(broker):
    connection = broker.connect()
    if connection._impl.server_properties["product"] == "RabbitMQ" and PATIENCE < 400:
        print("RabbitMQ tries again after three minutes: it needs INTEROP_SCENARIO_SECONDS=400")
        sys.exit(77)
    channel = connection.channel()
    channel.confirm_delivery()
    limit = {"x-max-length": 1, "x-overflow": "reject-publish"}
    grave = broker.queue(channel, durable=True, arguments=limit)
    arguments = SURE | {"x-dead-letter-routing-key": grave}
    queue = broker.queue(channel, durable=True, arguments=arguments)
    for body in [b"1", b"2"]:
        reject(channel, queue, body)
    broker.wait_ready(channel, grave, 1)
    letters = [get(channel, grave)]
    while len(letters) < 2:
        message = get(channel, grave)
        if message is not None:
            letters.append(message)
        else:
            connection.sleep(0.1)
    equal([letter.body for letter in letters], [b"1", b"2"])
    equal([death(letter) for letter in letters], [(queue, "rejected", 1)] * 2)
    equal(ready(channel, grave), 0)
