import asyncio

from aio_pika import Message

from harness import Inbox, drain, equal, publish, scenario, until


@scenario
async def tutorial_1_hello_world(broker):
    sender, receiver = await broker.channel(), await broker.channel()
    queue = await broker.queue(sender)
    inbox = await Inbox.of(await receiver.get_queue(queue.name), no_ack=True)
    await publish(sender, queue, b"Hello World!")
    await until(lambda: len(inbox) == 1, "the message arrives")
    [message] = inbox.messages
    equal(message.body, b"Hello World!")
    equal((message.exchange, message.routing_key, message.redelivered), ("", queue.name, False))


@scenario
async def tutorial_3_publish_subscribe(broker):
    sender = await broker.channel()
    logs = await broker.exchange(sender, "fanout")
    inboxes = []
    for _ in range(3):
        queue = await (await broker.channel()).declare_queue(exclusive=True)
        await queue.bind(logs)
        inboxes.append(await Inbox.of(queue, no_ack=True))
    lines = [b"one", b"two", b"three"]
    for line in lines:
        await logs.publish(Message(line), "the key is ignored")
    await until(lambda: all(len(inbox) == 3 for inbox in inboxes), "all subscribers have all")
    equal([inbox.bodies() for inbox in inboxes], [lines] * 3)


@scenario
async def tutorial_4_routing(broker):
    sender = await broker.channel()
    logs = await broker.exchange(sender, "direct")

    async def subscribe(*severities):
        queue = await (await broker.channel()).declare_queue(exclusive=True)
        for severity in severities:
            await queue.bind(logs, severity)
        return await Inbox.of(queue, no_ack=True)

    disk, screen = await subscribe("error"), await subscribe("info", "warning", "error")
    for severity in ("info", "debug", "error", "warning"):
        await logs.publish(Message(severity.encode()), severity, mandatory=False)
    await until(lambda: len(disk) == 1 and len(screen) == 3, "the logs arrive")
    equal((disk.bodies(), screen.bodies()), ([b"error"], [b"info", b"error", b"warning"]))


@scenario
async def tutorial_5_topics(broker):
    channel = await broker.channel()
    animals = await broker.exchange(channel, "topic")
    queues = {pattern: await broker.queue(channel) for pattern in ("*.orange.*", "*.*.rabbit", "lazy.#", "#")}
    for pattern, queue in queues.items():
        await queue.bind(animals, pattern)
    keys = ["quick.orange.rabbit", "lazy.orange.elephant", "lazy.brown.fox", "orange", "lazy", ""]
    for key in keys:
        await animals.publish(Message(key.encode()), key)
    received = {pattern: [message.routing_key for message in await drain(queue)] for pattern, queue in queues.items()}
    equal(received, {
        "*.orange.*": ["quick.orange.rabbit", "lazy.orange.elephant"],
        "*.*.rabbit": ["quick.orange.rabbit"],
        "lazy.#": ["lazy.orange.elephant", "lazy.brown.fox", "lazy"],
        "#": keys})


@scenario
async def headers_exchange_all_and_any(broker):
    channel = await broker.channel()
    exchange = await broker.exchange(channel, "headers")
    queues = {match: await broker.queue(channel) for match in ("all", "any")}
    for match, queue in queues.items():
        await queue.bind(exchange, arguments={"x-match": match, "format": "pdf", "pages": 3})
    for body, headers in (
        (b"both", {"format": "pdf", "pages": 3, "more": True}),
        (b"one", {"format": "pdf", "pages": 4}),
        (b"string is not a number", {"pages": "3"}),
        (b"no headers", {}),
    ):
        await exchange.publish(Message(body, headers=headers), "", mandatory=False)
    received = {match: [message.body for message in await drain(queue)] for match, queue in queues.items()}
    equal(received, {"all": [b"both"], "any": [b"both", b"one"]})


@scenario
async def alternate_exchange_takes_the_unroutable(broker):
    channel = await broker.channel()
    strays = await broker.exchange(channel, "fanout")
    main = await broker.exchange(channel, "direct", arguments={"alternate-exchange": strays.name})
    routed, unrouted = await broker.queue(channel), await broker.queue(channel)
    await asyncio.gather(routed.bind(main, "known"), unrouted.bind(strays))
    for key in ("known", "unknown"):
        await main.publish(Message(key.encode()), key)
    equal([message.body for message in await drain(routed)], [b"known"])
    equal([(message.body, message.exchange) for message in await drain(unrouted)], [(b"unknown", main.name)])
