"""`main.py --list` names the scenarios; `main.py NAME` runs one against $AMQP_URI."""

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
    for file in sorted((HERE / "scenarios").glob("*.py")):
        importlib.import_module(f"scenarios.{file.stem}")
    if sys.argv[1] == "--list":
        print("\n".join(harness.scenarios))
        return
    signal.signal(signal.SIGTERM, stop)
    broker = harness.Broker(os.environ["AMQP_URI"])
    try:
        harness.scenarios[sys.argv[1]](broker)
    finally:
        broker.clean_up()


main()
