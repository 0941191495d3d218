"""What every kombu scenario shares: registration, connections, unique names, waiting, cleaning up."""

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import time

import kombu

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
        self.made = []

    def connect(self, uri=None, confirms=False, **options):
        connection = kombu.Connection(
            uri or self.uri, transport_options={"confirm_publish": confirms}, **options)
        connection.ensure_connection(max_retries=1)
        self.connections.append(connection)
        return connection

    def channel(self, **options):
        """A channel on a connection of its own."""
        return self.connect(**options).channel()

    def restartable(self):
        """From here on use a broker that may be restarted. The function that does so, or the scenario is skipped."""
        self.uri, command = needed("RESTART_URI", "RESTART_BROKER")
        return lambda: subprocess.run(command, shell=True, check=True)

    def name(self, kind="name"):
        return f"interop.{kind}.{secrets.token_hex(8)}"

    def queue(self, channel, *bindings, durable=False, arguments=None, **options):
        queue = kombu.Queue(
            self.name("queue"), bindings=bindings, channel=channel, durable=durable, queue_arguments=arguments,
            no_declare=None, **options)
        self.made.append(queue)
        queue.declare()
        return queue

    def exchange(self, channel, kind, **options):
        exchange = kombu.Exchange(self.name(kind), type=kind, channel=channel, durable=False, **options)
        self.made.append(exchange)
        exchange.declare()
        return exchange

    def wait_until(self, condition, what):
        """Serve all connections until the condition holds."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"timed out waiting until {what}")
            for connection in self.connections:
                with contextlib.suppress(socket.timeout):
                    connection.drain_events(timeout=0.01)

    def clean_up(self):
        for connection in self.connections:
            connection.release()
        with kombu.Connection(self.uri) as connection:
            for thing in self.made:
                thing.bind(connection.default_channel).delete()


class Inbox:
    """A consumer that keeps what it is given."""

    def __init__(self, channel, queue, no_ack=False):
        self.messages = []
        self.consumer = kombu.Consumer(
            channel, [queue], on_message=self.messages.append, no_ack=no_ack, auto_declare=False)
        self.consumer.consume()

    def __len__(self):
        return len(self.messages)

    def bodies(self):
        return bodies(self.messages)


def publish(channel, queue, *texts, **options):
    for text in texts:
        kombu.Producer(channel).publish(text, routing_key=queue.name, **options)


def drain(queue):
    return list(iter(lambda: queue.get(no_ack=True), None))


def bodies(messages):
    return [bytes(message.body) for message in messages]


def ready(channel, queue):
    """How many messages are ready in the queue."""
    return channel.queue_declare(queue.name, passive=True).message_count


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
