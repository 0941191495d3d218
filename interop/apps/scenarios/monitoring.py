"""What watches queues: KEDA's questions to the HTTP API, and the Nagios plugins for RabbitMQ."""

import contextlib
import secrets
import urllib.parse

from harness import DEADLINE_SECONDS, equal, scenario, skip


def fill(broker, queue, count):
    broker.ask("PUT", "queues", broker.vhost, queue, body={"durable": True})
    message = {"properties": {}, "routing_key": queue, "payload": "x", "payload_encoding": "string"}
    for _ in range(count):
        equal(broker.ask("POST", "exchanges", broker.vhost, "amq.default", "publish", body=message), {"routed": True})


@scenario
def keda_queue_length(broker):
    """`protocol: http` with a queue's name: KEDA reads the length and the rate of publishing."""
    fill(broker, "tasks", 3)
    queue = lambda: broker.queue("tasks")
    broker.wait_until(lambda: queue().get("messages") == 3, "it tells the length")
    equal(queue()["messages_unacknowledged"], 0, "messages_unacknowledged")
    published = broker.wait_until(lambda: queue().get("message_stats"), "it tells what was published")
    assert published["publish_details"]["rate"] >= 0, published


@scenario
def keda_regular_expression(broker):
    """`useRegex`: the lengths of all queues whose name matches come on one page."""
    for queue, count in {"mail.in": 1, "mail.out": 2, "other": 4}.items():
        fill(broker, queue, count)
    question = {"page": 1, "use_regex": "true", "pagination": "false", "name": "^mail\\..*$", "page_size": 100}

    def lengths():
        answer = broker.ask("GET", "queues", broker.vhost, query=question)
        return {item["name"]: item.get("messages") for item in answer["items"]}

    broker.wait_until(lambda: lengths() == {"mail.in": 1, "mail.out": 2}, "it tells the lengths of both")


@scenario
def nagios_queue(broker):
    """`check_rabbitmq_queue` warns about a queue that grows too long."""
    fill(broker, "tasks", 3)
    broker.wait_until(lambda: broker.messages("tasks") == 3, "the length is shown")
    limits = lambda warning, critical: ["-w", f"{warning},-1,-1,-1", "-c", f"{critical},-1,-1,-1"]
    queue = ["--vhost", broker.vhost, "--queue", "tasks"]
    check(broker, "queue", 0, "messages=3;", *queue)
    check(broker, "queue", 1, "messages WARNING (3)", *queue, *limits(2, 5))
    check(broker, "queue", 2, "messages CRITICAL (3)", *queue, *limits(1, 2))
    check(broker, "queue", 2, "Not Found", "--vhost", broker.vhost, "--queue", "nobody")


@scenario
def nagios_broker(broker):
    """The plugins for the whole broker: whether a message passes, and what there is."""
    fill(broker, "tasks", 1)
    wait_counted(broker)
    check(broker, "aliveness", 0, f"vhost: {broker.vhost}", "--vhost", broker.vhost)
    check(broker, "overview", 0, "messages_ready OK")
    check(broker, "objects", 0, "exchange=")
    check(broker, "connections", 0, "connections OK")


@scenario
def nagios_node(broker):
    """The plugins for a node: its alarms, and whether it sees the others."""
    node = node_of(broker)
    check(broker, "watermark", 0, "mem_alarm", "--node", node)
    check(broker, "partition", 0, "No Partitions", "--node", node)
    # It takes a figure of 0 for none: without a connection no socket is in use.
    connected(broker)
    check(broker, "server", 0, "Sockets OK", "--node", node)
    check(broker, "server", 2, "Memory CRITICAL", "--node", node, "-w", "0,80,80,80", "-c", "0,90,90,90")


@scenario
def nagios_shovels(broker):
    """`check_rabbitmq_shovels` is critical where there is no shovel, here and on RabbitMQ."""
    check(broker, "shovels", 2, "API error")


@scenario
def nagios_user_with_the_tag_monitoring(broker):
    """A user who may only look is enough for all plugins but that for shovels, and one without a tag for none."""
    fill(broker, "tasks", 1)
    connected(broker)
    wait_counted(broker)
    with user_of(broker, "monitoring") as login:
        check(broker, "queue", 0, "consumers=", "--vhost", broker.vhost, "--queue", "tasks", login=login)
        check(broker, "aliveness", 0, f"vhost: {broker.vhost}", "--vhost", broker.vhost, login=login)
        check(broker, "overview", 0, "messages_ready OK", login=login)
        check(broker, "objects", 0, "exchange=", login=login)
        check(broker, "connections", 0, "connections OK", login=login)
        for name, text in {"watermark": "mem_alarm", "partition": "No Partitions", "server": "FD OK"}.items():
            check(broker, name, 0, text, "--node", node_of(broker), login=login)
    with user_of(broker, "") as login:
        check(broker, "overview", 2, "Access Refused", login=login)


@contextlib.contextmanager
def user_of(broker, tags):
    name = f"interop.{secrets.token_hex(8)}"
    broker.ask("PUT", "users", name, body={"password": "secret", "tags": tags})
    try:
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        broker.ask("PUT", "permissions", broker.vhost, name, body=everything)
        yield name, "secret"
    finally:
        broker.ask("DELETE", "users", name)


def wait_counted(broker):
    counted = lambda: broker.ask("GET", "overview")["queue_totals"].get("messages")
    broker.wait_until(counted, "the messages are counted")


def connected(broker):
    """Have an AMQP client, which the node knows of."""
    broker.ask("PUT", "queues", broker.vhost, "none", body={})
    broker.start("amqp-consume", f"--url={broker.uri}", "--queue=none", "cat")
    node = broker.ask("GET", "overview")["node"]
    broker.wait_until(lambda: broker.ask("GET", "nodes", node)["sockets_used"], "a socket is in use")


def node_of(broker):
    prefix, node = broker.ask("GET", "overview")["node"].split("@")
    if prefix != "rabbit":
        skip("the plugins ask for nodes called rabbit@...")
    return node


def check(broker, name, code, text, *options, login=None):
    server = urllib.parse.urlsplit(broker.http_uri)
    user, password = login or (broker.user, broker.password)
    command = [f"check_rabbitmq_{name}", "-H", server.hostname, "--port", server.port]
    process = broker.start(*command, "-u", user, "-p", password, "-t", DEADLINE_SECONDS, *options)
    equal(process.wait(), code, f"exit code of check_rabbitmq_{name}: {process.log_lines()}")
    assert text in process.log_lines()[0], process.log_lines()
