"""Tokens in place of passwords. leveret is started with the key; for another broker say TOKEN_SECRET, the
secret of the HS256 key "demo", and let its resource server be called "rabbitmq"."""

import base64
import hashlib
import hmac
import json
import os
import sys
import time

import pika
import pika.exceptions
import pika.spec

from harness import equal, scenario


def token(**claims):
    secret = os.environ.get("TOKEN_SECRET")
    if not secret:
        print("it needs TOKEN_SECRET, which the broker's tokens are signed with")
        sys.exit(77)
    claims = {"sub": "bob", "aud": ["rabbitmq"], "exp": int(time.time()) + 600, **claims}
    parts = [{"alg": "HS256", "kid": "demo"}, claims]
    text = b".".join(encode(json.dumps(part).encode()) for part in parts)
    signature = hmac.new(secret.encode(), text, hashlib.sha256).digest()
    return (text + b"." + encode(signature)).decode()


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def connect(broker, password):
    return broker.connect(credentials=pika.PlainCredentials("whoever", password))


def update_secret(connection, secret):
    """pika knows the methods, but has no call for them."""
    impl = connection._impl
    answers = []
    impl.callbacks.add(0, pika.spec.Connection.UpdateSecretOk, answers.append)
    impl._send_method(0, pika.spec.Connection.UpdateSecret(secret, "renewed"))
    while not answers:
        connection.process_data_events(time_limit=0.1)


@scenario
def token_says_what_its_bearer_may_do(broker):
    mine = broker.name("mine")
    broker.queues += [mine]
    scopes = [f"configure:%2F/{mine}*", "write:%2F/amq.default", f"read:*/{mine}", "read:*/amq.topic/eu.*",
              f"write:*/{mine}", "write:*/amq.topic/eu.*"]
    connection = connect(broker, token(scope=[f"rabbitmq.{scope}" for scope in scopes]))
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare(mine)
    channel.basic_publish("", mine, b"by name", mandatory=True)
    channel.queue_bind(mine, "amq.topic", "eu.*")
    channel.basic_publish("amq.topic", "eu.fr", b"by topic", mandatory=True)
    equal(channel.queue_purge(mine).method.message_count, 2, "messages")
    for refused in [
        lambda channel: channel.queue_declare(f"not.{mine}"),
        lambda channel: channel.basic_get(f"{mine}.other"),
        lambda channel: channel.queue_bind(mine, "amq.topic", "us.*"),
        lambda channel: channel.queue_bind(mine, "amq.fanout", ""),
    ]:
        try:
            refused(connection.channel())
        except pika.exceptions.ChannelClosedByBroker as error:
            equal(error.reply_code, 403, "reply code")
            assert error.reply_text.endswith("refused for user 'bob'"), error.reply_text
        else:
            raise AssertionError("it was allowed")


@scenario
def token_that_is_not_good_is_refused(broker):
    good = token(scope="rabbitmq.read:*/*")
    connect(broker, good).close()
    for wrong in [
        token(scope="rabbitmq.read:*/*", exp=int(time.time()) - 60),
        token(scope="rabbitmq.read:*/*", aud="somebody else"),
        good[:-4] + "AAAA",
        good.rsplit(".", 1)[0] + ".",
    ]:
        try:
            connect(broker, wrong)
        except pika.exceptions.ProbableAuthenticationError as error:
            assert "(403) 'ACCESS_REFUSED - Login was refused" in str(error), error
        else:
            raise AssertionError("the login was accepted")


@scenario
def token_is_renewed_by_update_secret(broker):
    name = broker.name("queue")
    broker.queues += [name]
    connection = connect(broker, token(scope="rabbitmq.read:*/*"))
    update_secret(connection, token(scope="rabbitmq.configure:*/* rabbitmq.read:*/*"))
    connection.channel().queue_declare(name)
    try:
        update_secret(connection, "no token")
    except pika.exceptions.ConnectionClosedByBroker as error:
        equal(error.reply_code, 530, "reply code")
        text = "NOT_ALLOWED - New secret was refused by one of the backends"
        equal(error.reply_text, text, "reply text")
    else:
        raise AssertionError("the secret was accepted")
