import os
import ssl
import urllib.parse

import aio_pika
import yarl

from harness import Inbox, equal, needed, publish, refused, scenario, until


@scenario
async def wrong_password_403(broker):
    text = "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile."
    with refused(aio_pika.exceptions.ProbableAuthenticationError, text):
        await broker.connect(yarl.URL(broker.uri).with_password("wrong"))


@scenario
async def messages_over_tls(broker):
    at, folder = needed("AMQPS_URI", "TLS_FOLDER")
    at = urllib.parse.urlsplit(at)
    secure = yarl.URL(broker.uri).with_scheme("amqps").with_host(at.hostname).with_port(at.port)
    with refused(Exception, "CERTIFICATE_VERIFY_FAILED"):
        await broker.connect(secure)

    context = ssl.create_default_context(cafile=f"{folder}/ca.pem")
    channel = await (await broker.connect(secure, ssl_context=context)).channel()
    queue = await broker.queue(channel)
    body = os.urandom(500_000)
    await publish(channel, queue, body)
    assert (await queue.get(no_ack=True)).body == body, "the body came back changed"


@scenario
async def reconnect_after_broker_restart(broker):
    """A robust connection comes back by itself, and its channel with it."""
    restart = broker.restartable()
    connection = await broker.connect(connect=aio_pika.connect_robust)
    channel = await connection.channel()
    queue = await broker.queue(channel, durable=True)
    await publish(channel, queue, b"before", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
    reconnected = []
    connection.reconnect_callbacks.add(lambda _: reconnected.append(True))
    await restart()
    await until(lambda: reconnected, "the connection is there again")
    await channel.ready()
    inbox = await Inbox.of(queue, no_ack=True)
    await publish(channel, queue, b"after")
    await until(lambda: len(inbox) == 2, "both are there")
    equal(inbox.bodies(), [b"before", b"after"])
