"""`main.py --list` names the scenarios; `main.py NAME` runs one against $AMQP_URI."""

import importlib
import os
import pathlib
import sys

import harness

HERE = pathlib.Path(__file__).parent


def main():
    for file in sorted((HERE / "scenarios").glob("*.py")):
        importlib.import_module(f"scenarios.{file.stem}")
    if sys.argv[1] == "--list":
        print("\n".join(harness.scenarios))
        return
    broker = harness.Broker(os.environ["AMQP_URI"])
    try:
        harness.scenarios[sys.argv[1]](broker)
    finally:
        broker.clean_up()


main()
