import asyncio
import datetime
import decimal
import os

import aio_pika
import aiormq
from aio_pika import DeliveryMode, Message

from harness import Inbox, drain, equal, publish, scenario, until


@scenario
async def tutorial_7_confirms_in_batches(broker):
    """A thousand publishes are under way together; each returns with its confirm."""
    channel = await broker.channel()
    queue = await broker.queue(channel, durable=True)
    bodies = [b"%d" % n for n in range(1000)]
    confirms = await asyncio.gather(*(
        channel.default_exchange.publish(Message(body, delivery_mode=DeliveryMode.PERSISTENT), queue.name)
        for body in bodies))
    assert all(isinstance(confirm, aiormq.spec.Basic.Ack) for confirm in confirms), confirms
    equal([message.body for message in await drain(queue)], bodies)


@scenario
async def full_queue_that_rejects_nacks_the_publish(broker):
    channel = await broker.channel()
    queue = await broker.queue(channel, arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    await publish(channel, queue, b"fits")
    try:
        await publish(channel, queue, b"does not")
    except aio_pika.exceptions.DeliveryError as error:
        assert isinstance(error.frame, aiormq.spec.Basic.Nack), error
    else:
        raise AssertionError("the second publish was confirmed")
    equal([message.body for message in await drain(queue)], [b"fits"])


@scenario
async def mandatory_message_is_returned_before_its_ack(broker):
    channel = await broker.channel(on_return_raises=True)
    exchange = await channel.get_exchange("amq.direct")
    try:
        await exchange.publish(Message(b"stray", message_id="m-1"), "no such key")
    except aio_pika.exceptions.PublishError as error:
        returned, message = error.frame, error.message
    else:
        raise AssertionError("the unroutable message was not returned")
    equal((returned.reply_code, returned.reply_text), (312, "NO_ROUTE"))
    equal((returned.exchange, returned.routing_key), ("amq.direct", "no such key"))
    equal((message.header.properties.message_id, message.body), ("m-1", b"stray"))


# Everything that it can write (it sorts by name): of the numbers the smallest type that holds them, and floats of 32 bits.
HEADERS = {
    "longstr": "plain",
    "unicode": "żółw 🐢",
    "empty string": "",
    "binary": bytearray(b"\x00\xff\xfe"),
    "true": True,
    "false": False,
    "int 8": -100,
    "int 16": -30_000,
    "uint 16": 60_000,
    "int 32": -123_456,
    "uint 32": 4_000_000_000,
    "int 64": -(2**40),
    "float": 1.5,
    "decimal": decimal.Decimal("12.34"),
    "timestamp": datetime.datetime(2001, 2, 3, 4, 5, 6, tzinfo=datetime.timezone.utc),
    "void": None,
    "table": {"deep": {"deeper": [1, "two", {"three": 3}]}, "empty": {}},
    "array": [1, 2**40, "text", bytearray(b"\x01"), True, None, 1.5, [], ["nested"]],
}


@scenario
async def every_header_type_survives(broker):
    channel = await broker.channel()
    queue = await broker.queue(channel)
    await publish(channel, queue, b"", headers=HEADERS)
    headers = (await queue.get(no_ack=True)).headers
    for name, value in HEADERS.items():
        equal((type(headers[name]), headers[name]), (type(value), value), name)


@scenario
async def large_body_10_mib(broker):
    channel = await broker.channel()
    queue = await broker.queue(channel)
    body = os.urandom(10 * 1024 * 1024)
    await publish(channel, queue, body)
    assert (await queue.get(no_ack=True)).body == body, "the body came back changed"


@scenario
async def direct_reply_to(broker):
    server, client = await broker.channel(), await broker.channel()
    requests = await broker.queue(server)

    async def double(request):
        reply = Message(b"%d" % (2 * int(request.body)), correlation_id=request.correlation_id)
        await server.default_exchange.publish(reply, request.reply_to)
        await request.ack()

    await requests.consume(double)
    pseudo = await client.get_queue("amq.rabbitmq.reply-to", ensure=False)
    replies = await Inbox.of(pseudo, no_ack=True)
    for n in (30, 5, 12):
        await publish(client, requests, b"%d" % n, reply_to="amq.rabbitmq.reply-to", correlation_id=f"call {n}")
    await until(lambda: len(replies) == 3, "all replies are here")
    received = {reply.correlation_id: reply.body for reply in replies.messages}
    equal(received, {"call 30": b"60", "call 5": b"10", "call 12": b"24"})
    assert all(reply.routing_key.startswith("amq.rabbitmq.reply-to.") for reply in replies.messages)
