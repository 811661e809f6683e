"""strobe_test.py - what wire tests stand on: a strobed of one's own, and a client that sends exactly what it is told.

    server = Server("--threads", "2")      started on free ports; comes back when the log says "ready"
    server.resp("SET", "k", "v")           one request over a connection that is kept
    client = server.client()               a socket with a reader of replies
    server.wait_log(r"state=closed")       waits for an event in the log, not for a time
    server.stop()                          SIGTERM, and everything that went wrong is an error

The binary is $STROBED, or ./strobed. Python's standard library alone."""
import os
import re
import signal
import socket
import subprocess
import threading
import time

PATIENCE = float(os.environ.get("STROBE_TEST_PATIENCE", "30"))  # seconds, for what should take milliseconds
WRONG = re.compile(r"AddressSanitizer|ThreadSanitizer|LeakSanitizer|runtime error:|Assertion")


def until(condition):
    """Polls CONDITION, which an event makes true."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("it did not happen")


class ReplyError(Exception):
    """An error reply; its text is the line without the '-'."""


class Client:
    """A connection that speaks RESP2, or anything, over TCP or a Unix socket."""

    def __init__(self, address, receive_buffer=None, source=None):
        """SOURCE: one's own address; many, so that thousands of connections do not use the ports of one up."""
        self.socket = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        if source:
            self.socket.bind((source, 0))
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(address)
        if not isinstance(address, str):
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.held = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def end(self):
        """No more will be sent."""
        self.socket.shutdown(socket.SHUT_WR)

    def more(self):
        data = self.socket.recv(1 << 18)
        if not data:
            raise EOFError(f"the server closed; unread: {bytes(self.held[:200])!r}")
        self.held += data

    def line(self):
        while (end := self.held.find(b"\r\n")) < 0:
            self.more()
        line = bytes(self.held[:end])
        del self.held[:end + 2]
        return line

    def exactly(self, size):
        while len(self.held) < size:
            self.more()
        data = bytes(self.held[:size])
        del self.held[:size]
        return data

    def rest(self):
        """All up to the server's end; a reset is an error."""
        try:
            while True:
                self.more()
        except EOFError:
            data, self.held = bytes(self.held), bytearray()
            return data

    def reply(self):
        """One reply: bytes, int, None or a list; a ReplyError is returned, not raised."""
        line = self.line()
        kind, text = line[:1], line[1:]
        if kind == b"+":
            return text
        if kind == b"-":
            return ReplyError(text.decode())
        if kind == b":":
            return int(text)
        if kind == b"$":
            return None if text == b"-1" else self.exactly(int(text) + 2)[:-2]
        if kind == b"*":
            return None if text == b"-1" else [self.reply() for _ in range(int(text))]
        raise ValueError(f"not a reply: {line!r}")

    def ask(self, *words):
        """Sends one request and gives its reply; an error reply is raised."""
        self.send(request(*words))
        reply = self.reply()
        if isinstance(reply, ReplyError):
            raise reply
        return reply


def to_bytes(word):
    return word if isinstance(word, (bytes, bytearray)) else str(word).encode()


def request(*words):
    """A request as clients send it."""
    parts = [b"*%d\r\n" % len(words)]
    for word in map(to_bytes, words):
        parts += [b"$%d\r\n" % len(word), word, b"\r\n"]
    return b"".join(parts)


def binary():
    return os.environ.get("STROBED", "./strobed")


class Server:
    """A strobed with OPTIONS of the command line beside `--port auto --http-port auto`; BEFORE runs in its process."""

    def __init__(self, *options, env=None, before=None):
        ports = [word for name in ("--port", "--http-port") if name not in options for word in (name, "auto")]
        self.process = subprocess.Popen([binary(), *ports, *map(str, options)], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env, preexec_fn=before)
        self.pid = self.process.pid
        self.lines = []
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        self.kept = None
        try:
            self.wait_log(r" server ready ")
        except BaseException:
            self.kill()
            raise
        self.port = self._port("resp")
        self.http_port = self._port("http")

    def _read(self):
        for line in self.process.stderr:
            with self.changed:
                self.lines.append(line.decode(errors="replace").rstrip("\n"))
                self.changed.notify_all()
        with self.changed:
            self.lines.append(None)
            self.changed.notify_all()

    def _port(self, door):
        for line in self.lines:
            if line and (found := re.search(rf"listening door={door} address=\S+:(\d+)$", line)):
                return int(found[1])
        return None

    def log(self):
        with self.changed:
            return "\n".join(line for line in self.lines if line is not None)

    def peak(self):
        """The most memory that it ever had, in bytes."""
        with open(f"/proc/{self.pid}/status", encoding="ascii") as status:
            return int(re.search(r"VmHWM:\s+(\d+)", status.read())[1]) << 10

    def wait_log(self, pattern, count=1, patience=PATIENCE):
        """Waits until COUNT lines match PATTERN, and gives their matches."""
        end = time.monotonic() + patience
        with self.changed:
            while True:
                found = [match for line in self.lines if line and (match := re.search(pattern, line))]
                if len(found) >= count:
                    return found
                left = end - time.monotonic()
                if left <= 0 or (self.lines and self.lines[-1] is None):
                    text = "\n".join(line for line in self.lines[-40:] if line)
                    raise AssertionError(f"the log has {len(found)} of {count} lines like {pattern!r}; its end:\n"
                                         + text)
                self.changed.wait(left)

    def client(self, **options):
        return Client(("127.0.0.1", self.port), **options)

    def resp(self, *words):
        """One request over a connection that is kept."""
        if self.kept is None:
            self.kept = self.client()
        return self.kept.ask(*words)

    def signal(self, number):
        os.kill(self.pid, number)

    def wait(self, patience=PATIENCE):
        """Waits for the process to end by itself; gives its exit status."""
        status = self.process.wait(patience)
        self.reader.join(patience)
        self.process.stderr.close()
        return status

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.wait()

    def stop(self):
        """Stops in order. Whatever went wrong in its life is an error here."""
        if self.kept is not None:
            self.kept.close()
            self.kept = None
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        try:
            status = self.wait()
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"strobed did not stop:\n{self.log()[-4000:]}") from None
        if status != 0 or WRONG.search(self.log()):
            raise AssertionError(f"strobed ended with {status}:\n{self.log()[-8000:]}")

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.stop()
        else:
            self.kill()


def run(*options):
    """strobed for options that end it at once: its status, standard output and standard error."""
    done = subprocess.run([binary(), *map(str, options)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=PATIENCE, check=False)
    return done.returncode, done.stdout, done.stderr
