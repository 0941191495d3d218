#!/usr/bin/env python3
"""Runs the rows of benches/README.md and prints them as a Markdown table.

The load comes from ampload, an independent load generator that shares no code with leveret. Its
`mode=limit` is the ceiling: the cheapest imaginable broker, frames in, frames out, nothing kept. For every
row the brokers take turns, round after round, so that all of them see the same machine; a cell is the
median of the rounds.

    benches/rows.py --ampload PATH [--rounds 3] [--secs 5] [--rabbitmq-port PORT --rabbitmq-pid PID] [ROW ...]

leveret is started here, from target/release. RabbitMQ is measured when its port is given: start it
yourself, idle otherwise.
"""
import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

# Name, ampload's words, and which brokers can play: the ceiling has one consumer and no queues.
ROWS = [
    ("flow, 16 B, no-ack", "", "clr"),
    ("flow, prefetch 1000, ack every 100", "prefetch=1000 ack=100", "clr"),
    ("flow, persistent to a durable queue, confirm window 10 000, ack every 100",
     "persistent=1 confirm=10000 prefetch=1000 ack=100", "clrq"),
    ("the same, confirm window 100", "persistent=1 confirm=100 prefetch=1000 ack=100", "clrq"),
    ("the same, confirm window 1", "persistent=1 confirm=1 prefetch=1000 ack=100", "clrq"),
    ("ingest of 500 000 persistent messages of 100 B, confirm window 10 000",
     "mode=ingest count=500000 size=100 persistent=1 confirm=10000 queue=rows.long keep=1", "lrq"),
    ("drain of these, ack every 100",
     "mode=drain count=500000 prefetch=1000 ack=100 queue=rows.long keep=1", "lrq"),
    ("fanout of persistent messages to 10 durable queues, confirm window 10 000, deliveries",
     "kind=fanout c=10 persistent=1 confirm=10000 prefetch=1000 ack=100", "lr"),
    ("flow, 1 KiB, no-ack", "size=1024", "clr"),
    ("flow, 64 KiB, no-ack", "size=65536", "clr"),
    ("4 producers, 4 consumers, one queue", "p=4 c=4", "lr"),
    ("fanout to 10 queues, deliveries", "kind=fanout c=10", "lr"),
    ("topic exchange, 10 000 bindings", "topic10000", "lr"),
    ("latency at 10 000 msg/s, p50 / p99", "rate=10000", "clr"),
    ("10 000 idle connections, each with a queue and a consumer", "mode=conns count=10000 secs=2", "lr"),
    ("connections opened and closed a second", "mode=churn", "lr"),
]
NAMES = {"c": "ceiling", "l": "leveret", "r": "RabbitMQ", "q": "RabbitMQ, quorum queue"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--ampload", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--secs", type=int, default=5)
    parser.add_argument("--rabbitmq-port", type=int)
    parser.add_argument("--rabbitmq-pid", type=int)
    parser.add_argument("rows", nargs="*", help="parts of row names; all rows without")
    args = parser.parse_args()
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    data = tempfile.mkdtemp()
    ceiling = subprocess.Popen([args.ampload, "mode=limit", "port=5699"], stdout=subprocess.DEVNULL)
    # Ten thousand clients and as many sockets on our side.
    leveret = subprocess.Popen(
        [os.path.join(root, "target/release/leveret"), "--amqp", "127.0.0.1:0", "--http", "none",
         "--data-dir", data],
        stderr=subprocess.PIPE, text=True, env={**os.environ, "LEVERET_LOG_LEVEL": "warn"})
    try:
        ready = next(line for line in leveret.stderr if "ready" in line)
        port = int(re.search(r"amqp 127\.0\.0\.1:(\d+)", ready).group(1))
        brokers = {"c": (5699, ceiling.pid), "l": (port, leveret.pid)}
        if args.rabbitmq_port:
            brokers["r"] = brokers["q"] = (args.rabbitmq_port, args.rabbitmq_pid or 0)
        table(args, brokers)
    finally:
        for process in (ceiling, leveret):
            process.terminate()
            process.wait()
        shutil.rmtree(data)


def table(args, brokers):
    shown = [key for key in "clrq" if key in brokers]
    print("| work | " + " | ".join(NAMES[key] for key in shown) + " |")
    print("| --- |" + " --- |" * len(shown))
    for name, words, who in ROWS:
        if args.rows and not any(part in name for part in args.rows):
            continue
        results = {key: [] for key in shown if key in who}
        for _ in range(args.rounds):
            for key, cells in results.items():
                cells.append(measure(args, words.replace("rows.", f"rows.{key}."), *brokers[key], key))
        print(f"| {name} | " + " | ".join(cell(results.get(key)) for key in shown) + " |", flush=True)


def measure(args, words, port, pid, key="l"):
    if key == "q":
        words += " args=x-queue-type:quorum"
    if words == "topic10000":
        bind_topics(port)
        words = "kind=topic queue=rows keep=1"
    if "mode=ingest" in words:
        delete(port, next(word[6:] for word in words.split() if word.startswith("queue=")))
    words = words.split()
    if not any(word.startswith("secs=") for word in words):
        words.append(f"secs={args.secs}")
    command = [args.ampload, f"port={port}", f"pid={pid}", *words]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    try:
        return json.loads(run.stdout)
    except json.JSONDecodeError:
        sys.exit(f"{' '.join(command)}: {run.stdout}{run.stderr}")


def delete(port, queue):
    import pika
    connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port))
    connection.channel().queue_delete(queue)
    connection.close()


def bind_topics(port):
    """10 000 bindings of one more queue to the exchange that the row publishes to."""
    import pika
    connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port))
    channel = connection.channel()
    for queue in ("rows0", "rows.other"):
        channel.queue_delete(queue)
    channel.exchange_declare("rows.x", "topic")
    channel.queue_declare("rows.other", durable=True)
    for number in range(10_000):
        channel.queue_bind("rows.other", "rows.x", f"w{number % 100}.*.x{number}.#")
    connection.close()


def cell(results):
    if not results:
        return "–"

    def median(read):
        return statistics.median(read(result) for result in results)

    first = results[0]
    if first["mode"] == "conns":
        return f"{median(lambda r: r['kib_per_conn']):.1f} KiB each"
    if first["mode"] == "churn":
        return f"{median(lambda r: r['per_s']):,.0f}/s"
    cpu = median(lambda r: r["broker_cpu_us_per_msg"])
    if any(result["lat_us"]["p99"] for result in results):
        p50, p99 = median(lambda r: r["lat_us"]["p50"]), median(lambda r: r["lat_us"]["p99"])
        return f"{p50:,.0f} / {p99:,.0f} µs"
    rate = median(lambda r: r["conf_rate" if first["mode"] == "ingest" else "cons_rate"])
    text = f"{rate / 1000:,.0f} k/s" if rate >= 10_000 else f"{rate:,.0f}/s"
    # Without a process id there is no CPU time to tell.
    return f"{text}, {cpu:.2f} µs" if cpu else text


if __name__ == "__main__":
    started = time.monotonic()
    main()
    print(f"\n{time.monotonic() - started:.0f} s in all", file=sys.stderr)
