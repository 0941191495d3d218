#!/usr/bin/env python3
"""Fills a queue that is longer than memory, kills the broker, starts it again and drains the queue.

    benches/long_queue.py --ampload PATH [--count 10000000] [--size 100] [--transient]

Prints a Markdown table: rates, resident memory at most and afterwards, time to be ready again, bytes on disk.
Transient messages are drained without a restart. leveret is taken from target/release.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import time


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--ampload", required=True)
    parser.add_argument("--count", type=int, default=10_000_000)
    parser.add_argument("--size", type=int, default=100)
    parser.add_argument("--transient", action="store_true")
    args = parser.parse_args()
    data = tempfile.mkdtemp()
    try:
        run(args, data)
    finally:
        shutil.rmtree(data)


def run(args, data):
    rows = []
    broker, port, _ = start(data)
    persistent = 0 if args.transient else 1
    took = load(args, port, f"mode=ingest persistent={persistent} confirm=10000")
    rows.append(("in, confirmed", f"{took['conf_rate'] / 1000:,.0f} k/s"))
    rows.append(("resident memory, at most", memory(broker, "VmHWM")))
    rows.append(("resident memory afterwards", memory(broker, "VmRSS")))
    rows.append(("bytes on disk", disk(data)))
    if not args.transient:
        broker.kill()
        broker.wait()
        broker, port, seconds = start(data)
        rows.append(("ready again after SIGKILL", f"{seconds:.2f} s"))
    took = load(args, port, "mode=drain prefetch=1000 ack=100")
    if took["consumed"] != args.count:
        raise SystemExit(f"{took['consumed']} of {args.count} messages came out")
    rows.append(("out, acknowledged", f"{took['cons_rate'] / 1000:,.0f} k/s"))
    rows.append(("resident memory, at most", memory(broker, "VmHWM")))
    time.sleep(1)
    rows.append(("bytes on disk afterwards", disk(data)))
    broker.terminate()
    broker.wait()
    kind = "transient" if args.transient else "persistent"
    print(f"| {args.count:,} {kind} messages of {args.size} B | |\n| --- | --- |")
    for name, value in rows:
        print(f"| {name} | {value} |")


def start(data):
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    began = time.monotonic()
    broker = subprocess.Popen(
        [os.path.join(root, "target/release/leveret"), "--amqp", "127.0.0.1:0", "--http", "none", "--data-dir", data],
        stderr=subprocess.PIPE, text=True, env={**os.environ, "LEVERET_LOG_LEVEL": "warn"})
    ready = next(line for line in broker.stderr if "ready" in line)
    return broker, re.search(r"amqp 127\.0\.0\.1:(\d+)", ready).group(1), time.monotonic() - began


def load(args, port, words):
    command = [args.ampload, f"port={port}", f"count={args.count}", f"size={args.size}", "queue=long", "keep=1", *words.split()]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def memory(broker, field):
    status = pathlib.Path(f"/proc/{broker.pid}/status").read_text()
    kib = int(re.search(field + r":\s+(\d+)", status).group(1))
    return f"{kib / 1024:.0f} MiB"


def disk(data):
    sizes = (path.stat().st_size for path in pathlib.Path(data).rglob("*") if path.is_file())
    return f"{sum(sizes) / 2**20:,.0f} MiB"


if __name__ == "__main__":
    main()
