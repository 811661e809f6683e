#!/usr/bin/env python3
"""strobe_http.py - keys over HTTP with Python's standard library: http.client for a connection that is kept, urllib for
a single request.

    python3 clients/http/strobe_http.py [127.0.0.1:7172]     shows everything below

    strobe = Strobe("127.0.0.1:7172")
    strobe.set("greeting", b"hello", ttl="30s")"""
import http.client
import json
import sys
import urllib.error
import urllib.parse
import urllib.request


class StrobeError(Exception):
    """The server's own sentence about what was wrong."""


class Strobe:
    """One connection, for one thread."""

    def __init__(self, address):
        self.connection = http.client.HTTPConnection(address, timeout=30)

    def close(self):
        self.connection.close()

    def ask(self, method, path, body=None, headers=None, expected=()):
        self.connection.request(method, path, body, headers or {})
        reply = self.connection.getresponse()
        if reply.status >= 400 and reply.status not in expected:
            raise StrobeError(f"{method} {path}: {json.loads(reply.read())['detail']}")
        return reply

    @staticmethod
    def path(key, **query):
        text = urllib.parse.urlencode(query)
        return "/kv/" + urllib.parse.quote(key, safe="") + ("?" + text if text else "")

    def get(self, key):
        """(value, version), or None."""
        reply = self.ask("GET", self.path(key), expected=(404,))
        body = reply.read()
        return None if reply.status == 404 else (body, reply.headers["ETag"])

    def set(self, key, value, ttl=None, version=None):
        """The new version; None when the entry does not have VERSION any more."""
        reply = self.ask("PUT", self.path(key, **({"ttl": ttl} if ttl else {})), value,
                         {"If-Match": version} if version else {}, expected=(412,))
        reply.read()
        return None if reply.status == 412 else reply.headers["ETag"]

    def add(self, key, number=1):
        return int(self.ask("PATCH", self.path(key, incr=number)).read())

    def remove(self, key):
        reply = self.ask("DELETE", self.path(key), expected=(404,))
        reply.read()
        return reply.status == 204

    def upload(self, key, pieces):
        """A value that is made while it is sent, in chunks."""
        self.ask("PUT", self.path(key), iter(pieces)).read()

    def keys(self, prefix=""):
        """The keys of one instant, page by page."""
        cursor = ""
        while cursor is not None:
            query = urllib.parse.urlencode({"prefix": prefix, "limit": 1000, "cursor": cursor})
            page = json.load(self.ask("GET", "/kv/?" + query))
            yield from page["keys"]
            cursor = page.get("cursor")

    def batch(self, *commands):
        """A command a line; the results in order."""
        lines = "".join(json.dumps(command) + "\n" for command in commands).encode()
        return [json.loads(line) for line in self.ask("POST", "/batch", lines).read().splitlines()]


def show(address):
    strobe = Strobe(address)
    version = strobe.set("python/greeting", "hello ä€😀".encode(), ttl="60s")
    print("get", strobe.get("python/greeting")[0].decode())
    print("set if it is still that", strobe.set("python/greeting", b"again", version=version) is not None)
    print("and once more", strobe.set("python/greeting", b"too late", version=version) is not None)
    strobe.remove("python/count")
    print("add", strobe.add("python/count", 41), strobe.add("python/count"))
    strobe.upload("python/pieces", (b"%d," % i for i in range(5)))
    print("pieces", strobe.get("python/pieces")[0].decode())
    print("keys", *sorted(strobe.keys("python/")))
    print("batch", *strobe.batch(["GET", "python/count"], ["INCRBY", "python/count", 8], ["STRLEN", "python/pieces"]))
    try:
        strobe.add("python/greeting")
    except StrobeError as error:
        print("error", error)
    strobe.close()
    with urllib.request.urlopen(f"http://{address}/kv/python/count") as reply:
        print("urllib", reply.read().decode(), reply.headers["Content-Type"])
    try:
        urllib.request.urlopen(f"http://{address}/kv/python/none")
    except urllib.error.HTTPError as error:
        print("urllib", error.code, json.load(error)["detail"])


if __name__ == "__main__":
    show(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:7172")
