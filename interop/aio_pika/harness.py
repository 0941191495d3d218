"""What every aio-pika scenario shares: registration, connections, unique names, waiting, cleaning up."""

import asyncio
import contextlib
import os
import secrets
import sys

import aio_pika

DEADLINE_SECONDS = 50

scenarios = {}


def scenario(function):
    """Register a scenario under its function name. It receives a `Broker`."""
    scenarios[function.__name__] = function
    return function


class Broker:
    """The broker under test, and everything one scenario has opened or created on it."""

    def __init__(self, uri):
        self.uri = uri
        self.connections = []
        self.queues = []
        self.exchanges = []

    async def connect(self, uri=None, connect=aio_pika.connect, **options):
        connection = await connect(uri or self.uri, **options)
        self.connections.append(connection)
        return connection

    async def channel(self, **options):
        """A channel on a connection of its own."""
        return await (await self.connect()).channel(**options)

    def restartable(self):
        """From here on use a broker that may be restarted. The function that does so, or the scenario is skipped."""
        self.uri, command = needed("RESTART_URI", "RESTART_BROKER")

        async def restart():
            process = await asyncio.create_subprocess_shell(command)
            equal(await process.wait(), 0, "exit code of the restart")

        return restart

    def name(self, kind="name"):
        return f"interop.{kind}.{secrets.token_hex(8)}"

    async def queue(self, channel, **options):
        name = self.name("queue")
        self.queues.append(name)
        return await channel.declare_queue(name, **options)

    async def exchange(self, channel, kind, **options):
        name = self.name(kind)
        self.exchanges.append(name)
        return await channel.declare_exchange(name, kind, **options)

    async def clean_up(self):
        for connection in self.connections:
            await connection.close()
        if not self.queues and not self.exchanges:
            return
        async with await aio_pika.connect(self.uri) as connection:
            channel = await connection.channel()
            for name in self.queues:
                await channel.queue_delete(name)
            for name in self.exchanges:
                await channel.exchange_delete(name)


class Inbox:
    """A consumer that keeps what it is given."""

    def __init__(self):
        self.messages = []

    @classmethod
    async def of(cls, queue, **options):
        inbox = cls()
        inbox.tag = await queue.consume(inbox._receive, **options)
        return inbox

    async def _receive(self, message):
        self.messages.append(message)

    def __len__(self):
        return len(self.messages)

    def bodies(self):
        return [message.body for message in self.messages]


async def publish(channel, queue, *bodies, **properties):
    for body in bodies:
        message = aio_pika.Message(body, **properties)
        await channel.default_exchange.publish(message, queue.name)


async def drain(queue):
    messages = []
    while message := await queue.get(no_ack=True, fail=False):
        messages.append(message)
    return messages


async def until(condition, what):
    async with asyncio.timeout(DEADLINE_SECONDS):
        while not condition():
            await asyncio.sleep(0.005)


async def until_ready(channel, queue, count):
    """Wait until so many messages are ready. The count may lag behind earlier publishes."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            found = await channel.declare_queue(queue.name, passive=True)
            if found.declaration_result.message_count == count:
                return
            await asyncio.sleep(0.005)


def equal(actual, expected, what="value"):
    assert actual == expected, f"{what}: expected {expected!r}, got {actual!r}"


@contextlib.contextmanager
def refused(error, text):
    """It must raise this error, which has to say this."""
    try:
        yield
    except error as raised:
        assert text in str(raised), f"expected {text!r} in {raised!r}"
    else:
        raise AssertionError(f"expected a refusal: {text}")


def needed(*names):
    """The values of these environment variables; the scenario is skipped without them."""
    values = [os.environ.get(name) for name in names]
    if not all(values):
        print(f"it needs {' and '.join(names)}")
        sys.exit(77)
    return values
