from harness import Inbox, drain, equal, get, scenario


def five_messages(broker, channel):
    queue = broker.queue(channel)
    for n in range(1, 6):
        channel.basic_publish("", queue, b"%d" % n)
    return queue


def as_pairs(deliveries):
    return [(int(message.body), message.redelivered) for message in deliveries]


@scenario
def nacked_messages_return_to_their_places(broker):
    """The second and fourth go back in order, before what was never delivered, as redelivered."""
    channel = broker.channel()
    queue = five_messages(broker, channel)
    taken = [get(channel, queue, auto_ack=False) for _ in range(4)]
    equal(as_pairs(taken), [(n, False) for n in range(1, 5)])
    channel.basic_nack(taken[3].tag, requeue=True)
    channel.basic_nack(taken[1].tag, requeue=True)
    equal(as_pairs(drain(channel, queue)), [(2, True), (4, True), (5, False)])


@scenario
def rejected_message_returns_to_the_head(broker):
    channel = broker.channel()
    queue = five_messages(broker, channel)
    channel.basic_reject(get(channel, queue, auto_ack=False).tag, requeue=True)
    equal(as_pairs(drain(channel, queue)),
          [(1, True), (2, False), (3, False), (4, False), (5, False)])


@scenario
def nack_multiple_requeues_all_up_to_the_tag(broker):
    channel = broker.channel()
    queue = five_messages(broker, channel)
    taken = [get(channel, queue, auto_ack=False) for _ in range(4)]
    channel.basic_nack(taken[2].tag, multiple=True, requeue=True)
    equal(as_pairs(drain(channel, queue)), [(1, True), (2, True), (3, True), (5, False)])


@scenario
def rejected_without_requeue_is_gone(broker):
    channel = broker.channel()
    queue = five_messages(broker, channel)
    channel.basic_reject(get(channel, queue, auto_ack=False).tag, requeue=False)
    channel.basic_nack(get(channel, queue, auto_ack=False).tag, requeue=False)
    equal(as_pairs(drain(channel, queue)), [(3, False), (4, False), (5, False)])


@scenario
def closed_channel_returns_its_messages_in_order(broker):
    channel = broker.channel()
    queue = five_messages(broker, channel)
    consumer = channel.connection.channel()
    inbox = Inbox(consumer, queue)
    broker.wait_until(lambda: len(inbox) == 5, "all five are delivered")
    consumer.basic_ack(inbox.deliveries[0].tag)
    consumer.close()
    again = Inbox(channel, queue, auto_ack=True)
    broker.wait_until(lambda: len(again) == 4, "the four unacknowledged come again")
    equal(as_pairs(again.deliveries), [(2, True), (3, True), (4, True), (5, True)])


@scenario
def recover_redelivers_everything_unacknowledged(broker):
    channel = broker.channel()
    queue = five_messages(broker, channel)
    inbox = Inbox(channel, queue)
    broker.wait_until(lambda: len(inbox) == 5, "all five are delivered")
    channel.basic_ack(inbox.deliveries[1].tag)
    channel.basic_recover(requeue=True)
    broker.wait_until(lambda: len(inbox) == 9, "the other four come again")
    equal(as_pairs(inbox.deliveries[5:]), [(1, True), (3, True), (4, True), (5, True)])
