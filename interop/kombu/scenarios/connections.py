import os
import re
import ssl
import urllib.parse

import amqp.exceptions
from kombu import Producer

from harness import Inbox, bodies, drain, equal, needed, publish, refused, scenario


@scenario
def wrong_password_403(broker):
    text = ("(403) ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. "
            "For details see the broker logfile.")
    with refused(amqp.exceptions.AccessRefused, text):
        broker.connect(re.sub("(?<=:)[^:@]*@", "wrong@", broker.uri))


@scenario
def messages_over_tls(broker):
    at, folder = needed("AMQPS_URI", "TLS_FOLDER")
    at = urllib.parse.urlsplit(at)
    login = urllib.parse.urlsplit(broker.uri)
    secure = f"amqps://{login.username}:{login.password}@{at.hostname}:{at.port}{login.path}"

    def trusting(authority):
        return {"ca_certs": authority, "cert_reqs": ssl.CERT_REQUIRED, "server_hostname": at.hostname}

    with refused(Exception, "CERTIFICATE_VERIFY_FAILED"):
        broker.connect(secure, ssl=trusting(ssl.get_default_verify_paths().cafile))

    channel = broker.channel(uri=secure, ssl=trusting(f"{folder}/ca.pem"))
    queue = broker.queue(channel)
    body = os.urandom(500_000)
    publish(channel, queue, body)
    assert bodies(drain(queue)) == [body], "the body came back changed"


@scenario
def reconnect_after_broker_restart(broker):
    """`ensure` connects again and publishes once more what failed."""
    restart = broker.restartable()
    connection = broker.connect(confirms=True)
    channel = connection.channel()
    queue = broker.queue(channel, durable=True)
    publish(channel, queue, b"before", delivery_mode="persistent")
    restart()
    producer = Producer(connection)
    connection.ensure(producer, producer.publish, max_retries=20, interval_start=0.1)(b"after", queue.name)
    inbox = Inbox(connection.channel(), queue, no_ack=True)
    broker.wait_until(lambda: len(inbox) == 2, "both are there")
    equal(inbox.bodies(), [b"before", b"after"])
