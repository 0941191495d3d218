from harness import equal, scenario


@scenario
def get_tells_how_many_remain(broker):
    channel = broker.channel()
    queue = broker.queue(channel)
    for n in range(3):
        channel.basic_publish("", queue, b"%d" % n)
    remaining = [channel.basic_get(queue)[0].message_count for _ in range(3)]
    equal(remaining, [2, 1, 0])
    equal(channel.basic_get(queue), (None, None, None), "get from an empty queue")
    channel.basic_ack(3, multiple=True)
    equal(channel.queue_delete(queue).method.message_count, 0)
