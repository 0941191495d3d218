import contextlib

import pika
import pika.exceptions

from harness import equal, scenario
from operations import Operations


@contextlib.contextmanager
def denied(access, resource, user):
    """A refusal; RabbitMQ says which access it was from version 4 on."""
    try:
        yield
    except pika.exceptions.ChannelClosedByBroker as error:
        equal(error.reply_code, 403, "reply code")
        text = f"access to {resource} in vhost '/' refused for user '{user}'"
        allowed = [f"ACCESS_REFUSED - {access} {text}", f"ACCESS_REFUSED - {text}"]
        assert error.reply_text in allowed, error.reply_text
    else:
        raise AssertionError("it was allowed")


@scenario
def permissions_by_name_and_by_topic(broker):
    with Operations.of(broker) as operations:
        mine = broker.name("mine")
        broker.queues += [mine, f"{mine}.dead"]
        user = operations.user(f"^{mine}", f"^({mine}|amq\\.default$|amq\\.topic$)",
                               f"^({mine}|amq\\.topic$)")
        operations.topics(user, "amq.topic", "^mine\\.", "^mine\\.")
        credentials = pika.PlainCredentials(user, user)
        connection = broker.connect(credentials=credentials)
        channel = connection.channel()
        channel.queue_declare(mine)
        channel.queue_bind(mine, "amq.topic", "mine.*")
        channel.confirm_delivery()
        channel.basic_publish("", mine, b"by name")
        channel.basic_publish("amq.topic", "mine.x", b"by topic", mandatory=True)
        equal(channel.queue_delete(mine).method.message_count, 2, "messages")
        channel.queue_declare(f"{mine}.dead", arguments={"x-dead-letter-exchange": mine})

        with denied("configure", "queue 'other'", user):
            connection.channel().queue_declare("other")
        with denied("configure", "queue 'other'", user):
            connection.channel().queue_delete("other")
        with denied("read", "queue 'other'", user):
            connection.channel().basic_get("other")
        with denied("read", "queue 'other'", user):
            connection.channel().basic_consume("other", lambda *_: None)
        with denied("read", "queue 'other'", user):
            connection.channel().queue_purge("other")
        with denied("write", "exchange 'other'", user):
            connection.channel().queue_declare(mine, arguments={"x-dead-letter-exchange": "other"})
        with denied("read", "exchange 'amq.direct'", user):
            connection.channel().queue_bind(f"{mine}.dead", "amq.direct", "k")
        with denied("write", "exchange 'amq.direct'", user):
            refused = connection.channel()
            refused.confirm_delivery()
            refused.basic_publish("amq.direct", "k", b"")
        topic = "topic 'other.x' in exchange 'amq.topic'"
        with denied("write", topic, user):
            refused = connection.channel()
            refused.confirm_delivery()
            refused.basic_publish("amq.topic", "other.x", b"")
        with denied("read", "topic 'other.#' in exchange 'amq.topic'", user):
            connection.channel().queue_bind(f"{mine}.dead", "amq.topic", "other.#")
        connection.close()


@scenario
def connection_of_a_deleted_user_320(broker):
    with Operations.of(broker) as operations:
        user = operations.user(".*", ".*", ".*")
        connection = broker.connect(credentials=pika.PlainCredentials(user, user))
        connection.channel()
        operations.delete_user(user)
        try:
            connection.process_data_events(time_limit=10)
        except pika.exceptions.ConnectionClosedByBroker as error:
            equal(error.reply_code, 320, "reply code")
            equal(error.reply_text, f"CONNECTION_FORCED - user '{user}' is deleted", "reply text")
        else:
            raise AssertionError("it is still open")


@scenario
def connection_in_a_deleted_vhost_320(broker):
    with Operations.of(broker) as operations:
        vhost = operations.vhost()
        connection = broker.connect(virtual_host=vhost)
        connection.channel().queue_declare("q")
        operations.delete_vhost(vhost)
        try:
            connection.process_data_events(time_limit=10)
        except pika.exceptions.ConnectionClosedByBroker as error:
            equal(error.reply_code, 320, "reply code")
            equal(error.reply_text, f"CONNECTION_FORCED - vhost '{vhost}' is deleted", "reply text")
        else:
            raise AssertionError("it is still open")
