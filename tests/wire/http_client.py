"""http_client.py - an HTTP client that sends what it is told, byte for byte, and reads replies strictly.

Not a module of Python's own, because those mend what they send and forgive what they read."""
import subprocess
import unittest

import strobe_test

HOST = b"Host: localhost\r\n"


def get(path, *lines):
    return b"GET " + path + b" HTTP/1.1\r\n" + HOST + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def put(path, body, *lines, method=b"PUT"):
    length = b"Content-Length: %d" % len(body)
    head = method + b" " + path + b" HTTP/1.1\r\n" + HOST + b"".join(line + b"\r\n" for line in (length, *lines))
    return head + b"\r\n" + body


class Reply:
    def __init__(self, status, headers, body=b""):
        self.status, self.headers, self.body = status, headers, body

    def __repr__(self):
        return f"Reply({self.status}, {self.headers}, {self.body[:200]!r})"


class Client(strobe_test.Client):
    def __init__(self, port, **options):
        super().__init__(("127.0.0.1", port), **options)

    def send(self, data, step=None):
        """All of DATA, in pieces of STEP bytes; a server that has closed meanwhile is no error."""
        try:
            for i in range(0, len(data), step or len(data) or 1):
                self.socket.sendall(data[i:i + (step or len(data))])
        except (BrokenPipeError, ConnectionResetError):
            pass

    def head(self):
        version, status, _ = self.line().split(b" ", 2)
        if version != b"HTTP/1.1":
            raise ValueError(version)
        headers = {}
        while line := self.line():
            name, value = line.split(b": ", 1)
            name = name.decode().lower()
            if name == "vary" and name in headers:  # a list, which may come in several lines
                value = headers[name].encode("latin-1") + b", " + value
            elif name in headers:
                raise ValueError(f"two {name}")
            headers[name] = value.decode("latin-1")
        return Reply(int(status), headers)

    def chunks(self):
        """The pieces of a chunked body, as they come."""
        while size := int(self.line(), 16):
            yield self.exactly(size)
            if self.exactly(2) != b"\r\n":
                raise ValueError("a chunk without its end")
        if self.line() != b"":
            raise ValueError("trailers")

    def reply(self, is_head=False):
        reply = self.head()
        if is_head or reply.status in (204, 304) or reply.status < 200:
            return reply
        if reply.headers.get("transfer-encoding") == "chunked":
            reply.body = b"".join(self.chunks())
        elif "content-length" in reply.headers:
            reply.body = self.exactly(int(reply.headers["content-length"]))
        else:
            reply.body = self.rest()
        return reply


class HttpCase(unittest.TestCase):
    """Tests with a server of their own."""
    options = ()

    @classmethod
    def setUpClass(cls):
        cls.server = strobe_test.Server(*cls.options)
        cls.port = cls.server.http_port
        cls.url = f"http://127.0.0.1:{cls.port}"

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def open(self, **options):
        client = Client(self.port, **options)
        self.addCleanup(client.close)
        return client

    def ask(self, data, is_head=False):
        client = Client(self.port)
        try:
            client.send(data)
            return client.reply(is_head)
        finally:
            client.close()

    def curl(self, *arguments, stdin=b""):
        run = subprocess.run(["curl", "-sS", "--max-time", "20", *arguments], input=stdin, capture_output=True,
                             check=False)
        self.assertEqual(run.returncode, 0, run.stderr)
        return run.stdout
