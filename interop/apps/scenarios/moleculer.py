"""Moleculer with its AMQP transporter: calls and events between nodes, balanced by Moleculer or by the broker."""

import json

from harness import equal, scenario


def node(broker, name, **environment):
    return broker.start("node", "moleculer/node.js", name, **environment)


def client(broker, *steps, **environment):
    """Start a node that does this, and nothing else."""
    return broker.start("node", "moleculer/client.js", json.dumps(steps), **environment)


def results(process):
    equal(process.wait(), 0, "exit code of the client")
    return [json.loads(line) for line in process.log_lines()]


@scenario
def calls(broker):
    """Moleculer finds the nodes and calls them by turns; errors come back."""
    for name in ("first", "second"):
        node(broker, name)
    add = [["call", "math.add", {"a": number, "b": 1}] for number in range(20)]
    _found, refused, *sums = results(
        client(broker, ["wait", ["first", "second"]], ["call", "math.refuse"], *add)
    )
    equal(refused, {"error": "not today"}, "error")
    equal([answer["sum"] for answer in sums], list(range(1, 21)), "sums")
    equal({answer["node"] for answer in sums}, {"first", "second"}, "nodes")


@scenario
def events(broker):
    """An event goes to one node of a service, or to all of them."""
    for name in ("first", "second"):
        node(broker, name)
    emit = [["emit", "order.placed", {"number": number}] for number in range(20)]
    results(client(broker, ["wait", ["first", "second"]], *emit, ["broadcast", "config.changed", {}]))
    orders = [line.split() for line in broker.wait_lines("order", 20)]
    equal(sorted(int(number) for number, _ in orders), list(range(20)), "orders")
    equal({name for _, name in orders}, {"first", "second"}, "nodes")
    equal(sorted(broker.wait_lines("config", 2)), ["first", "second"], "broadcast")


@scenario
def killed_node(broker):
    """A node killed with SIGKILL is missed, and the other one gets the calls."""
    first = node(broker, "first")
    node(broker, "second")
    add = ["call", "math.add", {"a": 1, "b": 2}]
    both = ["wait", ["first", "second"]]
    broker.wait_lines("ready", 2)
    caller = client(broker, both, add, ["wait", ["second"]], add, add, add)
    broker.wait_until(lambda: len(caller.log_lines()) > 1, "the caller has seen both")
    first.kill()
    answers = results(caller)[3:]
    equal(answers, [{"sum": 3, "node": "second"}] * 3, "answers")
