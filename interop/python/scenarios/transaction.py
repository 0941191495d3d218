from harness import equal, get, ready, refused, scenario


@scenario
def transaction_publishes_on_commit_only(broker):
    connection = broker.connect()
    channel, witness = connection.channel(), connection.channel()
    queue = broker.queue(witness)
    channel.tx_select()
    channel.basic_publish("", queue, b"one")
    channel.basic_publish("", queue, b"two")
    equal(ready(witness, queue), 0, "ready before commit")
    channel.tx_commit()
    broker.wait_ready(witness, queue, 2)
    channel.basic_publish("", queue, b"three")
    channel.tx_rollback()
    channel.tx_commit()
    broker.wait_ready(witness, queue, 2)


@scenario
def transaction_acknowledges_on_commit_only(broker):
    connection = broker.connect()
    witness = connection.channel()
    queue = broker.queue(witness)
    witness.basic_publish("", queue, b"task")

    channel = connection.channel()
    channel.tx_select()
    channel.basic_ack(get(channel, queue, auto_ack=False).tag)
    channel.tx_rollback()
    channel.close()
    broker.wait_ready(witness, queue, 1)

    channel = connection.channel()
    channel.tx_select()
    channel.basic_ack(get(channel, queue, auto_ack=False).tag)
    channel.tx_commit()
    channel.close()
    equal(witness.queue_delete(queue).method.message_count, 0)


@scenario
def transaction_and_confirms_exclude_each_other_406(broker):
    connection = broker.connect()
    channel = connection.channel()
    channel.confirm_delivery()
    with refused(406, "PRECONDITION_FAILED - cannot switch from confirm to tx mode"):
        channel.tx_select()
    channel = connection.channel()
    channel.tx_select()
    with refused(406, "PRECONDITION_FAILED - cannot switch from tx to confirm mode"):
        channel.confirm_delivery()
