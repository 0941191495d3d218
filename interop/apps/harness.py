"""What the scenarios of all frameworks share: a vhost of their own, processes, waiting, cleaning up."""

import base64
import contextlib
import json
import os
import pathlib
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

DEADLINE_SECONDS = 60
WORKERS = pathlib.Path(__file__).parent / "workers"

scenarios = {}


def scenario(function):
    """Register a scenario under its function name. It receives a `Broker`."""
    scenarios[function.__name__] = function
    return function


class Broker:
    """A vhost of the broker under test, and what one scenario has started in it.

    Applications find the vhost in AMQP_URI, and write lines of text to the file JOURNAL: what they
    did, in the order in which they did it.
    """

    def __init__(self, uri, http_uri):
        server = urllib.parse.urlsplit(uri)
        self.vhost = f"interop.apps.{secrets.token_hex(8)}"
        self.host, self.port = server.hostname, server.port
        self.user = urllib.parse.unquote(server.username or "guest")
        self.password = urllib.parse.unquote(server.password or "guest")
        self.uri = urllib.parse.urlunsplit(server._replace(path=f"/{self.vhost}"))
        self.http_uri = http_uri.rstrip("/")
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="interop-apps-"))
        self.journal = self.folder / "journal"
        self.journal.touch()
        self.processes = []
        os.environ.update(AMQP_URI=self.uri, JOURNAL=str(self.journal), FOLDER=str(self.folder))

    def make_vhost(self):
        self.ask("PUT", "vhosts", self.vhost)
        rights = {"configure": ".*", "write": ".*", "read": ".*"}
        self.ask("PUT", "permissions", self.vhost, self.user, body=rights)

    def ask(self, method, *path, body=None, query=None):
        """One call of the HTTP API; gives what the answer says."""
        path = "/".join(urllib.parse.quote(segment, safe="") for segment in path)
        data = None if body is None else json.dumps(body).encode()
        if query:
            path += "?" + urllib.parse.urlencode(query)
        request = urllib.request.Request(f"{self.http_uri}/api/{path}", data=data, method=method)
        login = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        request.add_header("Authorization", f"Basic {login}")
        with urllib.request.urlopen(request, timeout=DEADLINE_SECONDS) as answer:
            return json.loads(answer.read() or b"null")

    def queue(self, name):
        """What the HTTP API says about a queue, or None if it does not exist."""
        try:
            return self.ask("GET", "queues", self.vhost, name)
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise

    def messages(self, name):
        """How many messages the HTTP API says are in a queue; None where it cannot tell yet."""
        return (self.queue(name) or {}).get("messages")

    def wait_consumer(self, name):
        """Wait until somebody consumes from the queue. RabbitMQ tells it every five seconds."""
        self.wait_until(lambda: (self.queue(name) or {}).get("consumers"), f"somebody consumes from {name}")

    def wait_consumers(self, count):
        """Wait until all queues together have so many consumers."""
        found = lambda: sum(queue.get("consumers", 0) for queue in self.ask("GET", "queues", self.vhost))
        self.wait_until(lambda: found() == count, f"there are {count} consumers")

    def close_connections(self):
        """Close all connections of the vhost, as an operator does, and wait until they are gone."""
        names = lambda: {it["name"] for it in self.ask("GET", "vhosts", self.vhost, "connections") if "name" in it}
        before = self.wait_until(names, "the connections are shown")
        for name in before:
            # Those that belong together go together.
            with contextlib.suppress(urllib.error.HTTPError):
                self.ask("DELETE", "connections", name)
        self.wait_until(lambda: not names() & before, "they are gone")

    def start(self, *command, **environment):
        """Start a program in the folder of the workers; it is killed when the scenario ends."""
        process = Process(self.folder / f"{len(self.processes)}.log", command, environment)
        self.processes.append(process)
        return process

    def lines(self, word=""):
        """The lines of the journal that begin with the word, without it."""
        lines = self.journal.read_text().splitlines()
        return [line.removeprefix(word).strip() for line in lines if line.split(" ")[0] == word or not word]

    def release(self, name):
        """Let go the tasks that wait for this file in FOLDER."""
        (self.folder / name).touch()

    def wait_until(self, condition, what):
        """Wait until the condition gives something true, and return that."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not (found := condition()):
            for process in self.processes:
                process.check()
            if time.monotonic() > deadline:
                raise AssertionError(f"timed out waiting until {what}; the journal: {self.lines()}")
            time.sleep(0.02)
        return found

    def wait_lines(self, word, count):
        """Wait until at least so many lines begin with the word, and return them."""
        enough = lambda: len(self.lines(word)) >= count
        self.wait_until(enough, f"{count} lines of the journal begin with {word!r}")
        return self.lines(word)

    def clean_up(self):
        for process in self.processes:
            process.kill()
        with contextlib.suppress(OSError):
            self.ask("DELETE", "vhosts", self.vhost)
        shutil.rmtree(self.folder, ignore_errors=True)

    def show_logs(self):
        for process in self.processes:
            print(f"--- {' '.join(process.command)}", *process.log_lines()[-60:], sep="\n")


class Process:
    """A program with its children. They have a process group, so that all can be killed at once."""

    def __init__(self, log, command, environment):
        self.command, self.log = [str(word) for word in command], log
        self.may_end = False
        with open(log, "wb") as output:
            self.child = subprocess.Popen(
                self.command,
                cwd=WORKERS,
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def log_lines(self):
        return self.log.read_text(errors="replace").splitlines()

    def check(self):
        """Nobody has to wait for a program that has failed."""
        assert self.may_end or not self.child.poll(), f"{self.command} ended with {self.child.poll()}"

    def kill(self):
        """SIGKILL, so that no socket says goodbye."""
        self.may_end = True
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait()

    def stop(self):
        """SIGTERM to the parent, as a service manager does; gives the exit code."""
        self.child.terminate()
        return self.wait()

    def wait(self):
        self.may_end = True
        return self.child.wait(timeout=DEADLINE_SECONDS)


def script(name):
    """A command that was installed beside this Python."""
    return str(pathlib.Path(sys.executable).parent / name)


def equal(actual, expected, what="value"):
    assert actual == expected, f"{what}: expected {expected!r}, got {actual!r}"


def skip(reason):
    print(reason)
    sys.exit(77)
