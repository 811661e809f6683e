"""broken.py - a proxy before a strobed that breaks one promise, so that a test can show that it would be noticed.

    with Proxy(server.port, "stale") as proxy:      clients connect to proxy.port

FAULTS says which promises. A connection of the proxy has a connection to the server behind it, and a thread."""
import random
import socket
import threading
import time

import strobe_test

READS = (b"GET", b"GETVER")
OFTEN = 0.1  # of the chances to break the promise, those that are taken


class Accepted(strobe_test.Client):
    """The client's side; what it sends is read with reply(), since requests are arrays too."""

    def __init__(self, accepted):  # pylint: disable=super-init-not-called
        self.socket = accepted
        self.held = bytearray()


def encoded(reply):
    """As the server would have sent it."""
    if reply is None:
        return b"$-1\r\n"
    if isinstance(reply, strobe_test.ReplyError):
        return b"-%s\r\n" % str(reply).encode()
    if isinstance(reply, int):
        return b":%d\r\n" % reply
    if isinstance(reply, list):
        return b"*%d\r\n" % len(reply) + b"".join(map(encoded, reply))
    if reply in (b"OK", b"QUEUED"):
        return b"+%s\r\n" % reply
    return b"$%d\r\n%s\r\n" % (len(reply), reply)


class Session:
    """A client's connection. A subclass breaks a promise in answer()."""

    def __init__(self, accepted, port, shared, seed):
        self.down = Accepted(accepted)
        self.up = strobe_test.Client(("127.0.0.1", port))
        self.shared = shared  # between the sessions of a proxy
        self.random = random.Random(seed)

    def ask(self, request):
        self.up.send(strobe_test.request(*request))
        return self.up.reply()

    def answer(self, request):
        return self.ask(request)

    def run(self):
        try:
            while True:
                request = self.down.reply()
                reply = b"%0\r\n" if request[0] == b"HELLO" else encoded(self.answer(request))
                self.down.send(reply)
                self.after(request)
        except (EOFError, OSError):  # the client has gone
            self.down.close()
            self.up.close()

    def after(self, request):
        """When the reply is on its way."""


class Stale(Session):
    """Now and then a read shows what the read before it showed."""

    def answer(self, request):
        reply = self.ask(request)
        if request[0] not in READS:
            return reply
        before = self.shared.get(tuple(request), reply)
        self.shared[tuple(request)] = reply
        return before if self.random.random() < OFTEN else reply


class Lost(Session):
    """INCR reads, and then writes."""

    def answer(self, request):
        if request[0] != b"INCR":
            return self.ask(request)
        value = self.ask([b"GET", request[1]])
        if value is not None and len(value) > 19:
            return self.ask(request)
        self.ask([b"SET", request[1], b"%d" % (int(value or 0) + 1)])
        return int(value or 0) + 1


class Torn(Session):
    """EXEC does its commands one by one."""
    queue = None

    def answer(self, request):
        if request[0] == b"MULTI":
            self.queue = []
            return b"OK"
        if self.queue is None:
            return self.ask(request)
        if request[0] == b"EXEC":
            requests, self.queue = self.queue, None
            return [self.ask(request) for request in requests]
        self.queue.append(request)
        return b"QUEUED"


class Early(Session):
    """A SET is answered, and done a millisecond later."""
    late = False

    def answer(self, request):
        self.late = request[0] == b"SET" and len(request) == 3 and self.random.random() < OFTEN
        return b"OK" if self.late else self.ask(request)

    def after(self, request):
        if self.late:
            self.late = False
            time.sleep(0.001)
            self.ask(request)


class Blurred(Session):
    """A scan shows each key's value as it is when its turn comes."""

    def answer(self, request):
        reply = self.ask(request)
        if request[0] == b"SCAN" and isinstance(reply, list):
            values = [(key, self.ask([b"GET", key])) for key in reply[1][::2]]
            reply[1] = [word for key, value in values if value is not None for word in (key, value)]
        return reply


FAULTS = {"none": Session, "stale": Stale, "lost": Lost, "torn": Torn, "early": Early, "blurred": Blurred}


class Proxy:
    """Listens on a free port from the start; as a context, it ends with all its connections."""

    def __init__(self, server_port, fault, seed=1):
        self.server_port, self.kind, self.seed = server_port, FAULTS[fault], seed
        self.shared = {}
        self.threads = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def _accept(self):
        while True:
            try:
                accepted, _ = self.listener.accept()
            except OSError:  # closed
                return
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            session = self.kind(accepted, self.server_port, self.shared, self.seed + len(self.threads))
            self._start(session.run)

    def _start(self, what):
        self.threads.append(threading.Thread(target=what, daemon=True))
        self.threads[-1].start()

    def __enter__(self):
        self._start(self._accept)
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join(strobe_test.PATIENCE)
