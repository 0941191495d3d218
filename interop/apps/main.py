"""`main.py FRAMEWORK --list` names its scenarios; `main.py FRAMEWORK NAME` runs one on $AMQP_URI and $HTTP_URI."""

import importlib
import os
import pathlib
import signal
import sys

import harness

HERE = pathlib.Path(__file__).parent


def stop(_signal, _frame):
    raise TimeoutError("stopped from outside; the scenario took too long")


def main():
    framework, name = sys.argv[1:]
    for file in sorted((HERE / "scenarios").glob(f"{framework}*.py")):
        importlib.import_module(f"scenarios.{file.stem}")
    if name == "--list":
        print("\n".join(harness.scenarios))
        return
    if not os.environ.get("HTTP_URI"):
        harness.skip("it needs HTTP_URI, where the broker's HTTP API is, to make a vhost")
    signal.signal(signal.SIGTERM, stop)
    broker = harness.Broker(os.environ["AMQP_URI"], os.environ["HTTP_URI"])
    try:
        broker.make_vhost()
        harness.scenarios[name](broker)
    except Exception:
        broker.show_logs()
        raise
    finally:
        broker.clean_up()


main()
