"""`main.py --list` names the pages of docs/ that have an example; `main.py PAGE` runs it against $AMQP_URI.

The HTTP API of examples is at $HTTP_URI; files and the port of TLS are those of $TLS_FOLDER and $AMQPS_URI.

What an example prints is in it: a comment behind a `print` or `show` says what the output has, in that order.
"""

import contextlib
import io
import os
import pathlib
import re
import sys
import urllib.parse

import pika

DOCS = pathlib.Path(__file__).parent.parent.parent / "docs"
EXAMPLE = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
EXPECTED = re.compile(r"^\s*(?:print|show)\(.*\)  # (.+)$", re.MULTILINE)

# Examples that need a broker of their own, and why.
APART = {"alarms": "it needs a broker whose disk is nearly full; tests/sockets/alarms.rs has one"}


def examples():
    found = {page.stem: EXAMPLE.findall(page.read_text()) for page in sorted(DOCS.glob("*.md"))}
    return {page: code for page, code in found.items() if code}


def main():
    if sys.argv[1] == "--list":
        print("\n".join(examples()))
        return
    page = sys.argv[1]
    if page in APART:
        print(APART[page])
        sys.exit(77)
    parameters = pika.URLParameters(os.environ["AMQP_URI"])
    pika.connection.Parameters.DEFAULT_HOST = parameters.host
    pika.connection.Parameters.DEFAULT_PORT = parameters.port
    if "AMQPS_URI" in os.environ:
        pika.connection.Parameters.DEFAULT_SSL_PORT = urllib.parse.urlsplit(os.environ["AMQPS_URI"]).port
        os.chdir(os.environ["TLS_FOLDER"])
    for code in examples()[page]:
        code = code.replace("http://127.0.0.1:15672", os.environ["HTTP_URI"])
        output = io.StringIO()
        try:
            with contextlib.redirect_stdout(output):
                exec(compile(code, f"docs/{page}.md", "exec"), {"__name__": "__main__"})
        finally:
            print(output.getvalue())
        check(output.getvalue(), EXPECTED.findall(code))


def check(output, expected):
    at = 0
    for text in expected:
        if text == "Nothing.":
            continue
        found = output.find(text, at)
        if found < 0:
            sys.exit(f"the example says {text!r} here: {output[at:]!r}")
        at = found + len(text)


main()
