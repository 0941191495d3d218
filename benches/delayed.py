#!/usr/bin/env python3
"""Publishes delayed messages that wait for up to a day, kills the broker and starts it again.

    benches/delayed.py [--count 1000000] [--size 100] [--broker target/release/leveret]

Needs pika. Prints a Markdown table: resident memory with all of them waiting, time to be ready again, bytes on disk.
"""
import argparse
import pathlib
import random
import re
import subprocess
import tempfile
import time

import pika

DAY = 24 * 60 * 60 * 1000


def start(program, data):
    since = time.monotonic()
    command = [program, "--amqp", "127.0.0.1:0", "--http", "none", "--data-dir", data]
    broker = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in broker.stderr:
        if "ready: amqp" in line:
            port = int(re.search(r"amqp 127\.0\.0\.1:(\d+)", line).group(1))
            return broker, port, time.monotonic() - since
    raise SystemExit("the broker did not start")


def memory(broker):
    status = pathlib.Path(f"/proc/{broker.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024


def publish(port, count, size):
    with pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port)) as connection:
        channel = connection.channel()
        channel.exchange_declare("later", "x-delayed-message", durable=True, arguments={"x-delayed-type": "direct"})
        channel.queue_declare("due", durable=True)
        channel.queue_bind("due", "later", "k")
        body, chance = b"x" * size, random.Random(1)
        for _ in range(count):
            properties = pika.BasicProperties(delivery_mode=2, headers={"x-delay": chance.randrange(60_000, DAY)})
            channel.basic_publish("later", "k", body, properties)
        # The broker has taken all of them when it answers.
        channel.queue_declare("due", passive=True)
        time.sleep(2)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--size", type=int, default=100)
    parser.add_argument("--broker", default="target/release/leveret")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as data:
        broker, port, _ = start(args.broker, data)
        idle = memory(broker)
        publish(port, args.count, args.size)
        waiting = memory(broker)
        files = [path for path in pathlib.Path(data).rglob("*") if path.is_file()]
        disk = sum(path.stat().st_size for path in files) / 1e6
        broker.kill()
        broker.wait()
        broker, port, seconds = start(args.broker, data)
        again = memory(broker)
        broker.kill()
        broker.wait()
    print(f"| {args.count:,} persistent messages of {args.size} B, due within a day at random | |\n| --- | --- |")
    for name, value in [
        ("resident memory of an idle broker", f"{idle:.0f} MiB"),
        ("resident memory with all of them waiting", f"{waiting:.0f} MiB"),
        ("bytes on disk", f"{disk:.0f} MB"),
        ("ready again after SIGKILL", f"{seconds:.2f} s"),
        ("resident memory then", f"{again:.0f} MiB"),
    ]:
        print(f"| {name} | {value} |")


if __name__ == "__main__":
    main()
