"""What every pika scenario shares: registration, connections, unique names, waiting, cleaning up."""

import contextlib
import os
import secrets
import subprocess
import sys
import time

import pika
import pika.exceptions

DEADLINE_SECONDS = 20

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

    def parameters(self, **changes):
        parameters = pika.URLParameters(self.uri)
        for name, value in changes.items():
            setattr(parameters, name, value)
        return parameters

    def connect(self, **changes):
        connection = pika.BlockingConnection(self.parameters(**changes))
        self.connections.append(connection)
        return connection

    def channel(self):
        """A channel on a connection of its own."""
        return self.connect().channel()

    def restartable(self):
        """From here on use a broker that may be restarted. The function that does so, or the scenario is skipped."""
        if "RESTART_URI" not in os.environ or "RESTART_BROKER" not in os.environ:
            print("it needs RESTART_URI and RESTART_BROKER, a broker and the command that restarts it")
            sys.exit(77)
        self.uri = os.environ["RESTART_URI"]
        return lambda: subprocess.run(os.environ["RESTART_BROKER"], shell=True, check=True)

    def name(self, kind="name"):
        return f"interop.{kind}.{secrets.token_hex(8)}"

    def queue(self, channel, **options):
        name = self.name("queue")
        self.queues.append(name)
        channel.queue_declare(name, **options)
        return name

    def exchange(self, channel, kind, **options):
        name = self.name(kind)
        self.exchanges.append(name)
        channel.exchange_declare(name, exchange_type=kind, **options)
        return name

    def wait_until(self, condition, what):
        """Serve all connections until the condition holds."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"timed out waiting until {what}")
            for connection in self.connections:
                if connection.is_open:
                    connection.process_data_events(time_limit=0.01)

    def wait_ready(self, channel, queue, count):
        """Wait until so many messages are ready. The count may lag behind earlier publishes."""
        self.wait_until(lambda: ready(channel, queue) == count, f"{count} messages are ready")

    def serve(self, seconds):
        """Let all connections be idle, but served, for a while."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for connection in self.connections:
                connection.process_data_events(time_limit=0.1)

    def clean_up(self):
        for connection in self.connections:
            if connection.is_open:
                connection.close()
        if not self.queues and not self.exchanges:
            return
        with contextlib.closing(pika.BlockingConnection(self.parameters())) as connection:
            channel = connection.channel()
            for name in self.queues:
                channel.queue_delete(name)
            for name in self.exchanges:
                channel.exchange_delete(name)


class Delivery:
    def __init__(self, method, properties, body):
        self.tag = method.delivery_tag
        self.redelivered = method.redelivered
        self.exchange = method.exchange
        self.routing_key = method.routing_key
        self.properties = properties
        self.body = body


class Inbox:
    """A consumer that keeps what it is given, and acknowledges it if told so."""

    def __init__(self, channel, queue, acknowledge=False, **options):
        self.channel = channel
        self.acknowledge = acknowledge
        self.deliveries = []
        self.tag = channel.basic_consume(queue, self._receive, **options)

    def _receive(self, channel, method, properties, body):
        self.deliveries.append(Delivery(method, properties, body))
        if self.acknowledge:
            channel.basic_ack(method.delivery_tag)

    def __len__(self):
        return len(self.deliveries)

    def bodies(self):
        return [delivery.body for delivery in self.deliveries]


def get(channel, queue, auto_ack=True):
    """basic.get: a `Delivery`, or None when the queue is empty."""
    method, properties, body = channel.basic_get(queue, auto_ack=auto_ack)
    return None if method is None else Delivery(method, properties, body)


def drain(channel, queue):
    return list(iter(lambda: get(channel, queue), None))


def ready(channel, queue):
    """How many messages are ready in the queue."""
    return channel.queue_declare(queue, passive=True).method.message_count


def equal(actual, expected, what="value"):
    assert actual == expected, f"{what}: expected {expected!r}, got {actual!r}"


def needs_plugin(broker, kind, plugin):
    """Skip the scenario on a RabbitMQ whose plugin for this type of exchange is not enabled."""
    connection = broker.connect()
    # Anybody else has to have it.
    if connection._impl.server_properties.get("product") != "RabbitMQ":
        return
    name, arguments = broker.name(kind), {"x-cache-size": 1, "x-delayed-type": "direct"}
    broker.exchanges.append(name)
    try:
        connection.channel().exchange_declare(name, exchange_type=kind, arguments=arguments)
    except (pika.exceptions.ChannelClosedByBroker, pika.exceptions.ConnectionClosedByBroker) as error:
        print(f"{kind} needs `rabbitmq-plugins enable {plugin}` on RabbitMQ: {error.reply_text}")
        sys.exit(77)


@contextlib.contextmanager
def refused(code, text):
    """The broker must close the channel or connection with this code and exactly this text."""
    try:
        yield
    except (pika.exceptions.ChannelClosedByBroker, pika.exceptions.ConnectionClosedByBroker) as error:
        equal(error.reply_code, code, "reply code")
        equal(error.reply_text, text, "reply text")
    else:
        raise AssertionError(f"expected a refusal with {code} {text}")
