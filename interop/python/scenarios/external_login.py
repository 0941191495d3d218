import os
import ssl
import sys
import urllib.parse

import pika
import pika.exceptions

from harness import equal, get, scenario
from operations import Operations

REFUSED = ("ACCESS_REFUSED - Login was refused using authentication mechanism EXTERNAL. "
           "For details see the broker logfile.")


def over_tls(with_certificate, credentials):
    """Where the TLS listener is, what to show it and how to log in; without one the scenario is skipped."""
    uri, folder = os.environ.get("AMQPS_URI"), os.environ.get("TLS_FOLDER")
    if not uri or not folder:
        print("it needs AMQPS_URI and TLS_FOLDER, a listener with TLS and the files of docs/tls.md")
        sys.exit(77)
    at = urllib.parse.urlsplit(uri)
    tls = ssl.create_default_context(cafile=f"{folder}/ca.pem")
    if with_certificate:
        tls.load_cert_chain(f"{folder}/till.pem", f"{folder}/till.key")
    options = pika.SSLOptions(tls, at.hostname)
    return {"host": at.hostname, "port": at.port, "ssl_options": options, "credentials": credentials}


def refused(broker, **changes):
    try:
        broker.connect(**changes)
    except pika.exceptions.ProbableAuthenticationError as error:
        equal(str(error), f"ConnectionClosedByBroker: (403) '{REFUSED}'", "refusal")
    else:
        raise AssertionError("it was let in")


@scenario
def tls_certificate_is_a_login(broker):
    external = pika.credentials.ExternalCredentials()
    certified = over_tls(True, external)
    with Operations.of(broker) as operations:
        refused(broker, **certified)
        operations.made.append(("users", "till"))
        operations.ask("PUT", "users", "till", body={"password_hash": "", "tags": ""})
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        operations.ask("PUT", "permissions", "/", "till", body=everything)

        connection = broker.connect(**certified)
        channel = connection.channel()
        channel.confirm_delivery()
        queue = broker.queue(channel)
        # The broker checks this name.
        channel.basic_publish("", queue, b"hello", pika.BasicProperties(user_id="till"))
        equal(get(channel, queue).properties.user_id, "till", "user")

        # Others still have their passwords, and nothing else.
        password = broker.parameters().credentials
        broker.connect(**over_tls(False, password)).channel().queue_declare(queue, passive=True)
        refused(broker, **over_tls(False, external))
        connection.close()


@scenario
def messages_over_tls(broker):
    channel = broker.connect(**over_tls(False, broker.parameters().credentials)).channel()
    queue = broker.queue(channel)
    body = os.urandom(500_000)
    channel.basic_publish("", queue, body)
    assert get(channel, queue).body == body, "the body came back changed"


@scenario
def tls_is_not_spoken_with_a_server_nobody_knows(broker):
    strange = over_tls(False, broker.parameters().credentials)
    context = ssl.create_default_context()
    strange["ssl_options"] = pika.SSLOptions(context, strange["host"])
    try:
        broker.connect(**strange)
    except ssl.SSLCertVerificationError:
        pass
    else:
        raise AssertionError("the certificate was accepted")
