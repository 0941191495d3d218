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


@scenario
def balanced_by_broker(broker):
    """With `disableBalancer` a request is acknowledged when it is answered: that of a killed node goes to another one."""
    first = node(broker, "first", BALANCED_BY_BROKER="yes")
    # A node says that it is ready, and tells others what it can do, a second before it declares the queues of its actions.
    broker.wait_consumer("MOL.REQB.math.hold")
    caller = client(broker, ["call", "math.hold", {}, {"timeout": 0}], BALANCED_BY_BROKER="yes")
    equal(broker.wait_lines("hold", 1), ["first"], "who has it")
    node(broker, "second", BALANCED_BY_BROKER="yes")
    broker.wait_lines("ready", 2)
    first.kill()
    equal(broker.wait_lines("hold", 2)[1], "second", "who has it then")
    broker.release("released")
    equal(results(caller), ["second"], "answer")


@scenario
def called_too_early(broker):
    """What is called in that second goes to a queue that is not there; `requestTimeout` and `retryPolicy` call again."""
    caller = client(broker, ["call", "math.add", {"a": 1, "b": 2}], BALANCED_BY_BROKER="yes", START_WHEN="node_is_ready")
    node(broker, "first", BALANCED_BY_BROKER="yes")
    broker.wait_lines("ready", 1)
    broker.release("node_is_ready")
    equal(results(caller), [{"sum": 3, "node": "first"}], "answer")
