from harness import equal, refused, scenario


@scenario
def passive_declare_of_missing_404(broker):
    connection, missing = broker.connect(), broker.name("missing")
    with refused(404, f"NOT_FOUND - no queue '{missing}' in vhost '/'"):
        connection.channel().queue_declare(missing, passive=True)
    with refused(404, f"NOT_FOUND - no exchange '{missing}' in vhost '/'"):
        connection.channel().exchange_declare(missing, passive=True)


@scenario
def passive_declare_tells_counts(broker):
    channel = broker.channel()
    queue = broker.queue(channel)
    channel.basic_publish("", queue, b"one")
    channel.basic_publish("", queue, b"two")
    broker.wait_ready(channel, queue, 2)
    answer = channel.queue_declare(queue, passive=True).method
    equal((answer.queue, answer.message_count, answer.consumer_count), (queue, 2, 0))


@scenario
def inequivalent_queue_406(broker):
    connection = broker.connect()
    queue = broker.queue(connection.channel())
    limited = broker.queue(connection.channel(), arguments={"x-message-ttl": 60000})

    def text(name, argument, difference):
        return (f"PRECONDITION_FAILED - inequivalent arg '{argument}' for queue '{name}' "
                f"in vhost '/': {difference}")

    with refused(406, text(queue, "durable", "received 'true' but current is 'false'")):
        connection.channel().queue_declare(queue, durable=True)
    with refused(406, text(queue, "auto_delete", "received 'true' but current is 'false'")):
        connection.channel().queue_declare(queue, auto_delete=True)
    with refused(406, text(limited, "x-message-ttl", "received '5' but current is '60000'")):
        connection.channel().queue_declare(limited, arguments={"x-message-ttl": 5})
    with refused(406, text(limited, "x-message-ttl",
                           "received none but current is the value '60000' of type 'signedint'")):
        connection.channel().queue_declare(limited)


@scenario
def inequivalent_exchange_406(broker):
    connection = broker.connect()
    exchange = broker.exchange(connection.channel(), "direct")

    def text(argument, difference):
        return (f"PRECONDITION_FAILED - inequivalent arg '{argument}' for exchange '{exchange}' "
                f"in vhost '/': {difference}")

    with refused(406, text("type", "received 'fanout' but current is 'direct'")):
        connection.channel().exchange_declare(exchange, "fanout")
    with refused(406, text("durable", "received 'true' but current is 'false'")):
        connection.channel().exchange_declare(exchange, "direct", durable=True)
    with refused(406, text("auto_delete", "received 'true' but current is 'false'")):
        connection.channel().exchange_declare(exchange, "direct", auto_delete=True)


@scenario
def reserved_names_403(broker):
    connection = broker.connect()
    with refused(403, "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'"):
        connection.channel().queue_declare("amq.mine")
    with refused(403, "ACCESS_REFUSED - exchange name 'amq.mine' contains reserved prefix 'amq.*'"):
        connection.channel().exchange_declare("amq.mine", "direct")
    with refused(403, "ACCESS_REFUSED - operation not permitted on the default exchange"):
        connection.channel().queue_bind(broker.queue(connection.channel()), "", "key")
