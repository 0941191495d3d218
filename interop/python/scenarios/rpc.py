import uuid

import pika

from harness import Inbox, equal, scenario


def fibonacci(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a


def serve(channel, queue):
    """Answer requests to the queue, to wherever their reply-to says."""

    def answer(channel, method, properties, body):
        channel.basic_publish(
            "", properties.reply_to, str(fibonacci(int(body))).encode(),
            pika.BasicProperties(correlation_id=properties.correlation_id))
        channel.basic_ack(method.delivery_tag)

    channel.basic_qos(prefetch_count=1)
    channel.basic_consume(queue, answer)


def call_and_check(broker, client, requests, reply_to, replies):
    numbers = {str(uuid.uuid4()): n for n in (30, 5, 12)}
    for correlation_id, n in numbers.items():
        client.basic_publish(
            "", requests, str(n).encode(),
            pika.BasicProperties(reply_to=reply_to, correlation_id=correlation_id))
    broker.wait_until(lambda: len(replies) == len(numbers), "all replies are here")
    received = {reply.properties.correlation_id: int(reply.body) for reply in replies.deliveries}
    equal(received, {call: fibonacci(n) for call, n in numbers.items()}, "replies by correlation id")


@scenario
def tutorial_6_rpc(broker):
    """Requests carry reply-to and a correlation id; replies come to the client's own queue."""
    server, client = broker.channel(), broker.channel()
    requests = broker.queue(server)
    serve(server, requests)
    callback_queue = client.queue_declare("", exclusive=True).method.queue
    replies = Inbox(client, callback_queue, auto_ack=True)
    call_and_check(broker, client, requests, callback_queue, replies)


@scenario
def direct_reply_to(broker):
    """Replies to `amq.rabbitmq.reply-to` come straight to the requesting channel, without a queue."""
    server, client = broker.channel(), broker.channel()
    requests = broker.queue(server)
    serve(server, requests)
    replies = Inbox(client, "amq.rabbitmq.reply-to", auto_ack=True)
    call_and_check(broker, client, requests, "amq.rabbitmq.reply-to", replies)
    reply = replies.deliveries[0]
    equal(reply.exchange, "")
    assert reply.routing_key.startswith("amq.rabbitmq.reply-to."), reply.routing_key
