from harness import equal, scenario


@scenario
def idle_connection_is_kept_by_heartbeats(broker):
    """Idle for 8 s with heartbeat 2: a silent client would be dropped after 6, a silent server after 7."""
    connection = broker.connect(heartbeat=2)
    channel = connection.channel()
    broker.serve(seconds=8)
    assert connection.is_open
    equal(channel.queue_declare("", exclusive=True).method.message_count, 0)
