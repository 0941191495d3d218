import pika

from harness import Inbox, drain, equal, get, scenario


@scenario
def expired_message_is_dead_lettered(broker):
    channel = broker.channel()
    graveyard = broker.queue(channel)
    queue = broker.queue(channel, arguments={
        "x-message-ttl": 50, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": graveyard})
    inbox = Inbox(channel, graveyard, auto_ack=True)
    channel.basic_publish("", queue, b"short life")
    broker.wait_until(lambda: len(inbox) == 1, "the message expires")
    death = inbox.deliveries[0].properties.headers["x-death"][0]
    equal((death["queue"], death["reason"], death["count"]), (queue, "expired", 1))


@scenario
def rejected_message_is_dead_lettered(broker):
    channel = broker.channel()
    graveyard = broker.queue(channel)
    exchange = broker.exchange(channel, "fanout")
    channel.queue_bind(graveyard, exchange)
    queue = broker.queue(channel, arguments={"x-dead-letter-exchange": exchange})
    inbox = Inbox(channel, graveyard, auto_ack=True)
    channel.basic_publish("", queue, b"unwanted")
    channel.basic_nack(get(channel, queue, auto_ack=False).tag, requeue=False)
    broker.wait_until(lambda: len(inbox) == 1, "the message is dead-lettered")
    message = inbox.deliveries[0]
    equal((message.exchange, message.routing_key, message.redelivered), (exchange, queue, False))
    equal(message.properties.headers["x-first-death-reason"], "rejected")


@scenario
def full_queue_drops_its_head(broker):
    channel = broker.channel()
    queue = broker.queue(channel, arguments={"x-max-length": 2})
    for n in range(5):
        channel.basic_publish("", queue, b"%d" % n)
    equal([message.body for message in drain(channel, queue)], [b"3", b"4"])


@scenario
def full_queue_that_rejects_nacks_the_publish(broker):
    channel = broker.channel()
    queue = broker.queue(channel, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    channel.confirm_delivery()
    channel.basic_publish("", queue, b"fits")
    try:
        channel.basic_publish("", queue, b"does not")
    except pika.exceptions.NackError:
        pass
    else:
        raise AssertionError("the second publish was confirmed")
    equal([message.body for message in drain(channel, queue)], [b"fits"])


@scenario
def priority_queue_serves_the_highest_first(broker):
    channel = broker.channel()
    queue = broker.queue(channel, arguments={"x-max-priority": 5})
    for priority in (1, 5, 0, 3, 5):
        channel.basic_publish("", queue, b"%d" % priority, pika.BasicProperties(priority=priority))
    equal([message.body for message in drain(channel, queue)], [b"5", b"5", b"3", b"1", b"0"])
