"""How an application tells its scenario what it did, and waits for it."""

import asyncio
import os
import pathlib
import time


def write(*words):
    line = " ".join(str(word) for word in words) + "\n"
    file = os.open(os.environ["JOURNAL"], os.O_WRONLY | os.O_APPEND)
    os.write(file, line.encode())  # In one piece, so that lines of several processes do not mix.
    os.close(file)


def lines(word):
    text = pathlib.Path(os.environ["JOURNAL"]).read_text()
    return [line for line in text.splitlines() if line.split(" ")[0] == word]


def wait_for(name):
    """Wait until the scenario has released this."""
    while not (pathlib.Path(os.environ["FOLDER"]) / name).exists():
        time.sleep(0.02)


async def wait_for_async(name):
    while not (pathlib.Path(os.environ["FOLDER"]) / name).exists():
        await asyncio.sleep(0.02)
