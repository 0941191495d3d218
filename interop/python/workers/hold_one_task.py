"""A worker that takes one task, says so, and never acknowledges it. It waits to be killed."""

import sys

import pika


def hold(_channel, _method, _properties, body):
    print(f"holding {body.decode()}", flush=True)


uri, queue = sys.argv[1:]
channel = pika.BlockingConnection(pika.URLParameters(uri)).channel()
channel.basic_qos(prefetch_count=1)
channel.basic_consume(queue, hold)
channel.start_consuming()
