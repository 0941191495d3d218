"""NestJS microservices over RabbitMQ's transport: questions, events, topics, and services that are cut off or killed."""

import json

from harness import equal, scenario


def typescript(broker, program, *arguments, **environment):
    command = ["node", "-r", "ts-node/register", f"nestjs/{program}.ts", *arguments]
    return broker.start(*command, TS_NODE_PROJECT="nestjs/tsconfig.json", **environment)


def client(broker, how, place, pattern, *data):
    """Run a program that sends these to a service; gives the answers."""
    process = typescript(broker, "client", how, place, json.dumps(pattern), *map(json.dumps, data))
    equal(process.wait(), 0, "exit code of the client")
    return [json.loads(line) for line in process.log_lines()]


@scenario
def request_and_response(broker):
    """Answers come by direct reply-to, also several to one question, and errors."""
    typescript(broker, "service", NAME="service")
    broker.wait_consumer("orders")
    equal(client(broker, "send", "orders", "sum", [1, 2, 3], *([n, 1] for n in range(30)))[:3], [[6], [1], [2]], "sums")
    equal(client(broker, "send", "orders", "count", 5), [[1, 2, 3, 4, 5]], "several answers")
    [refused] = client(broker, "send", "orders", {"command": "refuse"}, 1)
    equal(refused["error"], {"status": "error", "message": "not today"}, "error")
    [unknown] = client(broker, "send", "orders", "nonsense", 1)
    assert "no matching message handler" in json.dumps(unknown), unknown


@scenario
def events(broker):
    """Two services share what comes to their queue."""
    for name in ("first", "second"):
        typescript(broker, "service", NAME=name)
    broker.wait_consumers(2)
    client(broker, "emit", "orders", "placed", *({"number": number} for number in range(50)))
    lines = [line.split() for line in broker.wait_lines("placed", 50)]
    equal(sorted(int(number) for number, _ in lines), list(range(50)), "orders")
    equal({name for _, name in lines}, {"first", "second"}, "services")


@scenario
def topic_patterns(broker):
    """With `wildcards` the patterns of a service are bindings to a topic exchange."""
    typescript(broker, "listener")
    broker.wait_consumer("listener")
    for pattern in ("order.placed", "log.disk.full", "order.placed.twice", "order.sent", "log"):
        client(broker, "topic", "events", pattern, pattern)
    equal(broker.wait_lines("log", 2), ["log.disk.full", "log"], "logs")
    equal(broker.wait_lines("order", 2), ["order.placed", "order.sent"], "orders")


@scenario
def lost_connection(broker):
    """A service whose connection is closed by an operator connects again."""
    typescript(broker, "service", NAME="service")
    broker.wait_consumer("orders")
    broker.close_connections()
    equal(client(broker, "send", "orders", "sum", [1, 2]), [[3]], "sum")


@scenario
def killed_service(broker):
    """What a service killed with SIGKILL had not acknowledged goes to another one."""
    first = typescript(broker, "service", NAME="first")
    broker.wait_consumer("orders")
    client(broker, "emit", "orders", "hold", 1)
    equal(broker.wait_lines("hold", 1), ["first false"], "who has it")
    typescript(broker, "service", NAME="second")
    first.kill()
    equal(broker.wait_lines("hold", 2)[1], "second true", "who has it then")
    broker.release("released")
    equal(broker.wait_lines("done", 1), ["second"], "who did it")
