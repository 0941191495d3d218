"""A service as those of OpenStack are: `oslo_app.py CONFIG rpc` answers calls, `oslo_app.py CONFIG notifications` listens."""

import os
import sys

import journal
import oslo_messaging
from oslo_config import cfg

NAME = os.environ.get("NAME", "client")


def transport(get, config):
    cfg.CONF(["--config-file", config], project="interop")
    return get(cfg.CONF, url=os.environ["AMQP_URI"].replace("amqp://", "rabbit://"))


class Endpoint:
    target = oslo_messaging.Target(version="1.0")

    def add(self, context, x, y):
        return {"sum": x + y, "server": NAME}

    def refuse(self, context):
        raise ValueError("not today")

    def note(self, context, text):
        journal.write("note", text, NAME)


class Listener:
    def info(self, context, publisher_id, event_type, payload, metadata):
        journal.write("info", event_type, payload["number"])

    def error(self, context, publisher_id, event_type, payload, metadata):
        journal.write("error", NAME)
        journal.wait_for("released")
        journal.write("done", NAME)


def server(config, kind):
    if kind == "rpc":
        target = oslo_messaging.Target(topic="math", server=NAME)
        rpc = transport(oslo_messaging.get_rpc_transport, config)
        return oslo_messaging.get_rpc_server(rpc, target, [Endpoint()], executor="threading")
    notifications = transport(oslo_messaging.get_notification_transport, config)
    targets = [oslo_messaging.Target(topic="news")]
    return oslo_messaging.get_notification_listener(notifications, targets, [Listener()], executor="threading")


if __name__ == "__main__":
    service = server(*sys.argv[1:])
    service.start()
    journal.write("ready", NAME)
    service.wait()
