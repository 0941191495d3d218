"""`main.py --list` names the scenarios; `main.py NAME` runs one against $AMQP_URI."""

import asyncio
import importlib
import os
import pathlib
import sys

import harness

HERE = pathlib.Path(__file__).parent


async def run(name):
    broker = harness.Broker(os.environ["AMQP_URI"])
    try:
        await harness.scenarios[name](broker)
    finally:
        await broker.clean_up()


def main():
    for file in sorted((HERE / "scenarios").glob("*.py")):
        importlib.import_module(f"scenarios.{file.stem}")
    if sys.argv[1] == "--list":
        print("\n".join(harness.scenarios))
    else:
        asyncio.run(run(sys.argv[1]))


main()
