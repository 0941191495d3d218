import os

from harness import drain, equal, get, scenario


@scenario
def large_body_10_mib(broker):
    channel = broker.channel()
    queue = broker.queue(channel)
    body = os.urandom(10 * 1024 * 1024)
    channel.basic_publish("", queue, body)
    assert get(channel, queue).body == body, "the body came back changed"


@scenario
def body_sizes_around_the_frame_limit(broker):
    """Nothing, one octet, and a few octets either side of one and two full frames."""
    channel = broker.channel()
    queue = broker.queue(channel)
    frame = 131072 - 8
    sizes = [0, 1] + [full + n for full in (frame, 2 * frame) for n in (-1, 0, 1)]
    for size in sizes:
        channel.basic_publish("", queue, b"x" * size)
    equal([len(message.body) for message in drain(channel, queue)], sizes)
