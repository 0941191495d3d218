"""oslo.messaging, through which the services of OpenStack talk: calls, casts, fanouts and notifications."""

import sys

import oslo_messaging
from harness import DEADLINE_SECONDS, WORKERS, equal, scenario

sys.path.insert(0, str(WORKERS))


def serve(broker, config, kind, *names):
    servers = [broker.start(sys.executable, "oslo_app.py", config, kind, NAME=name) for name in names]
    broker.wait_lines("ready", len(names))
    return servers


def calls(broker, config):
    app = __import__("oslo_app")
    serve(broker, config, "rpc", "first", "second")
    # Each waits for what is for any server, for itself, and for all.
    broker.wait_consumers(6)
    transport = app.transport(oslo_messaging.get_rpc_transport, str(WORKERS / config))
    client = oslo_messaging.get_rpc_client(transport, oslo_messaging.Target(topic="math"), timeout=DEADLINE_SECONDS)
    answers = [client.call({}, "add", x=number, y=1) for number in range(20)]
    equal([answer["sum"] for answer in answers], list(range(1, 21)), "sums")
    equal({answer["server"] for answer in answers}, {"first", "second"}, "servers")
    equal(client.prepare(server="second").call({}, "add", x=1, y=1), {"sum": 2, "server": "second"}, "answer")
    try:
        client.call({}, "refuse")
    except ValueError as error:
        assert "not today" in str(error), error
    else:
        raise AssertionError("the error did not come back")
    client.prepare(fanout=True).cast({}, "note", text="all")
    equal(sorted(broker.wait_lines("note", 2)), ["all first", "all second"], "fanout")
    transport.cleanup()


@scenario
def calls_and_casts(broker):
    """Calls to any server and to one, errors, and casts to all of them."""
    calls(broker, "oslo.conf")


@scenario
def calls_on_quorum_queues_and_streams(broker):
    """The same with quorum queues, and with a stream for what goes to all servers, as OpenStack recommends."""
    calls(broker, "oslo_quorum.conf")
    types = {queue["type"] for queue in broker.ask("GET", "queues", broker.vhost)}
    equal(types, {"quorum", "stream"}, "types of queues")


def notifier(config):
    app = __import__("oslo_app")
    transport = app.transport(oslo_messaging.get_notification_transport, str(WORKERS / config))
    return oslo_messaging.Notifier(transport, "shop", driver="messagingv2", topics=["news"])


@scenario
def notifications(broker):
    """What one service tells, whoever listens is told."""
    serve(broker, "oslo.conf", "notifications", "first", "second")
    news = notifier("oslo.conf")
    for number in range(20):
        news.info({}, "order.placed", {"number": number})
    lines = broker.wait_lines("info", 20)
    equal(sorted(int(line.split()[1]) for line in lines), list(range(20)), "notifications")


@scenario
def killed_listener(broker):
    """A notification that a listener killed with SIGKILL was at goes to another one."""
    [first] = serve(broker, "oslo.conf", "notifications", "first")
    notifier("oslo.conf").error({}, "order.lost", {})
    equal(broker.wait_lines("error", 1), ["first"], "who has it")
    broker.start(sys.executable, "oslo_app.py", "oslo.conf", "notifications", NAME="second")
    first.kill()
    equal(broker.wait_lines("error", 2)[1], "second", "who has it then")
    broker.release("released")
    equal(broker.wait_lines("done", 1), ["second"], "who did it")
