"""What a scenario asks of the broker's HTTP API, at $HTTP_URI. Without one the scenario is skipped."""

import base64
import contextlib
import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request


class Operations:
    def __init__(self, uri, credentials):
        self.uri = uri.rstrip("/")
        login = f"{credentials.username}:{credentials.password}".encode()
        self.authorization = "Basic " + base64.b64encode(login).decode()
        self.broker = None
        self.made = []

    @classmethod
    @contextlib.contextmanager
    def of(cls, broker):
        """Everything it makes is deleted at the end."""
        uri = os.environ.get("HTTP_URI")
        if not uri:
            print("it needs HTTP_URI, where the broker's HTTP API is")
            sys.exit(77)
        operations = cls(uri, broker.parameters().credentials)
        operations.broker = broker
        try:
            yield operations
        finally:
            for path in operations.made:
                with contextlib.suppress(urllib.error.HTTPError):
                    operations.ask("DELETE", *path)

    def ask(self, method, *path, body=None):
        path = "/".join(urllib.parse.quote(segment, safe="") for segment in path)
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.uri}/api/{path}", data=data, method=method)
        request.add_header("Authorization", self.authorization)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status

    def user(self, configure, write, read):
        """A user with these permissions in the vhost "/", whose password is the name."""
        name = self.broker.name("user")
        self.made.append(("users", name))
        self.ask("PUT", "users", name, body={"password": name, "tags": ""})
        permission = {"configure": configure, "write": write, "read": read}
        self.ask("PUT", "permissions", "/", name, body=permission)
        return name

    def topics(self, user, exchange, write, read):
        body = {"exchange": exchange, "write": write, "read": read}
        self.ask("PUT", "topic-permissions", "/", user, body=body)

    def delete_user(self, name):
        self.ask("DELETE", "users", name)

    def vhost(self):
        """A vhost in which the user of the scenarios may do everything."""
        name = self.broker.name("vhost")
        self.made.append(("vhosts", name))
        self.ask("PUT", "vhosts", name)
        return name

    def delete_vhost(self, name):
        self.ask("DELETE", "vhosts", name)
