#!/usr/bin/env python3
"""test_commands.py - replays the transcripts in commands/ against strobed: every reply, byte for byte, however the
requests are cut; and where redis-server is installed, the same commands against it, which must say the same.

A transcript is lines:

    # a remark
    > SET k "v\\x00"      a command, its words as a person would type them
    +OK                  its reply as bytes; a line ends with CRLF, other unprintable bytes are \\xHH, \\ alone is
                         an empty line
    ~ :\\d+               a line of the reply that is not always the same: a regular expression
    ! why                the next command's reply is not Redis's, and this is why; !! at the top: the whole file's
"""
import glob
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import threading
import unittest

from strobe_test import Client, ReplyError, Server, request

HERE = os.path.dirname(os.path.abspath(__file__))
ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|(.))", re.DOTALL)
WORD = re.compile(rb'\s*(?:"((?:\\.|[^"\\])*)"|(\S+))')
NAMED = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}
PIECES = (1, 2, 3, 7, 64, 1460)


def unescape(text):
    def byte(match):
        return bytes([int(match[1], 16)]) if match[1] else NAMED.get(match[2], match[2])
    return b"" if text == b"\\" else ESCAPE.sub(byte, text)


def words_of(text):
    return [unescape(quoted) if quoted or not plain else plain for quoted, plain in WORD.findall(text)]


class Entry:
    """A command of a transcript, with the reply that it shall have."""

    def __init__(self, place, command, explained):
        self.place, self.words, self.explained = place, words_of(command), explained
        self.lines = []

    def pattern(self):
        return b"".join((line[2:] if line.startswith(b"~ ") else re.escape(unescape(line))) + b"\r\n"
                        for line in self.lines)

    def without_null_arrays(self):
        copy = Entry.__new__(Entry)
        copy.lines = [b"$-1" if line == b"*-1" else line for line in self.lines]
        return copy

    def is_exact(self):
        return not any(line.startswith(b"~ ") for line in self.lines)

    def fits(self, reply):
        return re.fullmatch(self.pattern(), reply, re.DOTALL) is not None


def read_transcript(path):
    entries, whole_file, explained = [], False, False
    with open(path, "rb") as file:
        for number, line in enumerate(file.read().splitlines(), 1):
            if line.startswith(b"!"):
                whole_file = whole_file or line.startswith(b"!!")
                explained = True
            elif line.startswith(b"> "):
                entries.append(Entry(f"{os.path.basename(path)}:{number}", line[2:], explained or whole_file))
                explained = False
            elif not line.startswith(b"# ") and line:
                entries[-1].lines.append(line)
    return entries


def transcripts():
    found = sorted(glob.glob(os.path.join(HERE, "commands", "*.txt")))
    assert found, "no transcripts"
    return {os.path.basename(path): read_transcript(path) for path in found}


def in_resp2():
    """Those that do not speak RESP3 themselves."""
    return {name: entries for name, entries in transcripts().items()
            if not any([word.upper() for word in entry.words[:2]] == [b"HELLO", b"3"] for entry in entries)}


def raw_reply(client):
    """The bytes of one reply, of RESP2 or RESP3."""
    line = client.line() + b"\r\n"
    kind = line[:1]
    if kind in b"$=" and line[1:2] != b"-":
        return line + client.exactly(int(line[1:]) + 2)
    if kind in b"*~>%" and line[1:2] != b"-":
        items = int(line[1:]) * (2 if kind == b"%" else 1)
        return line + b"".join(raw_reply(client) for _ in range(items))
    return line


def as_resp2(reply):
    """What a reply of RESP3 says, as RESP2 would have said it. A null is $-1, whatever it stands for."""
    line, _, rest = reply.partition(b"\r\n")
    kind, text = line[:1], line[1:]
    if kind in b"$=" and text != b"-1":
        data, rest = rest[:int(text)], rest[int(text) + 2:]
        data = data[4:] if kind == b"=" else data
        return b"$%d\r\n%b\r\n" % (len(data), data), rest
    if kind in b"*~%" and text != b"-1":
        items = [b"*%d\r\n" % (int(text) * (2 if kind == b"%" else 1))]
        for _ in range(int(text) * (2 if kind == b"%" else 1)):
            item, rest = as_resp2(rest)
            items.append(item)
        return b"".join(items), rest
    if kind == b"_" or line == b"*-1":
        return b"$-1\r\n", rest
    if kind == b",":
        return b"$%d\r\n%b\r\n" % (len(text), text), rest
    if kind == b"#":
        return b":%d\r\n" % (text == b"t"), rest
    return line + b"\r\n", rest


# Their time is not what the transcripts are about.
CALM = ("--slowlog-threshold", "1h")


class Transcripts(unittest.TestCase):
    maxDiff = None

    def compare(self, entries, client, explained_too=True):
        for entry in entries:
            reply = raw_reply(client)
            if explained_too or not entry.explained:
                wanted = b"\r\n".join(map(unescape, entry.lines)) + b"\r\n"
                told = f"{entry.place} {entry.words}\n wanted {wanted!r}\n got    {reply!r}"
                self.assertTrue(entry.fits(reply), told)

    def test_every_reply_is_the_one_written_down(self):
        with Server(*CALM) as server:
            for name, entries in transcripts().items():
                with self.subTest(name), server.client() as client:
                    client.ask("FLUSHALL")
                    for entry in entries:
                        client.send(request(*entry.words))
                        self.compare([entry], client)

    def test_replies_are_the_same_however_the_requests_are_cut(self):
        with Server(*CALM) as server:
            for name, entries in transcripts().items():
                data = b"".join(request(*entry.words) for entry in entries)
                for size in (*PIECES, len(data)):
                    with self.subTest(name, size=size), server.client() as client:
                        client.ask("FLUSHALL")
                        sender = threading.Thread(target=self.send_cut, args=(client, data, size))
                        sender.start()
                        self.compare(entries, client)
                        sender.join()

    @staticmethod
    def send_cut(client, data, size):
        for at in range(0, len(data), size):
            client.send(data[at:at + size])

    def test_resp3_says_the_same_as_resp2(self):
        with Server(*CALM) as server:
            for name, entries in in_resp2().items():
                for size in (1, 7, 1 << 30):
                    with self.subTest(name, size=size), server.client() as client:
                        self.replay_in_resp3(client, entries, size)

    def replay_in_resp3(self, client, entries, size):
        client.ask("FLUSHALL")
        client.send(request("HELLO", 3))
        raw_reply(client)
        data = b"".join(request(*entry.words) for entry in entries)
        sender = threading.Thread(target=self.send_cut, args=(client, data, size))
        sender.start()
        for entry in entries:
            reply, rest = as_resp2(raw_reply(client))
            self.assertEqual(rest, b"")
            told = f"{entry.place} {entry.words} over RESP3\n wanted {entry.lines}\n got    {reply!r}"
            self.assertTrue(entry.without_null_arrays().fits(reply), told)
        sender.join()

    @unittest.skipUnless(shutil.which("redis-server"), "redis-server is not installed")
    def test_redis_says_the_same(self):
        with tempfile.TemporaryDirectory(prefix="strobe-redis-") as place:
            path = os.path.join(place, "socket")
            log = open(os.path.join(place, "log"), "wb")
            command = ["redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--dir", place,
                       "--slowlog-log-slower-than", "-1"]
            redis = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            try:
                self.wait_for_redis(redis, path)
                for name, entries in transcripts().items():
                    with self.subTest(name), Client(path) as client:
                        client.ask("FLUSHALL")
                        for entry in entries:
                            if not entry.explained:
                                client.send(request(*entry.words))
                                self.compare([entry], client)
                self.compare_in_resp3(path)
            finally:
                redis.terminate()
                redis.wait(30)
                log.close()

    def compare_in_resp3(self, path):
        """Byte for byte, where the transcript says that the reply is always the same."""
        with Server(*CALM) as server:
            for name, entries in in_resp2().items():
                with self.subTest(name, resp=3), Client(path) as redis, server.client() as strobe:
                    for client in (redis, strobe):
                        client.ask("FLUSHALL")
                        client.send(request("HELLO", 3))
                        raw_reply(client)
                    for entry in entries:
                        strobe.send(request(*entry.words))
                        ours = raw_reply(strobe)
                        if entry.explained:
                            continue
                        redis.send(request(*entry.words))
                        theirs = raw_reply(redis)
                        if entry.is_exact():
                            self.assertEqual(ours, theirs, f"{entry.place} {entry.words} over RESP3")

    @staticmethod
    def wait_for_redis(redis, path):
        while redis.poll() is None:
            try:
                Client(path).close()
                return
            except OSError:
                try:
                    redis.wait(0.02)
                except subprocess.TimeoutExpired:
                    pass
        raise AssertionError("redis-server did not start")


# Rows that a transcript cannot show, and the test that does.
ELSEWHERE = {
    "quit": "test_core.py: the connection ends",
    "config|rewrite": "test_control.py: it needs a file",
    "shutdown": "test_control.py: the server stops",
    "unwatch": "no error but the number of words",
    "debug": "test_slow.py: only a debug build has it",
}
# Rows whose every form is right, so that there is no error to show; and those that only ever refuse.
NEVER_FAIL = {"latency|histogram", "latency|reset", "command", "command|docs", "command|info", "info", "help", "quit"}
ONLY_REFUSE = {"bgsave", "client", "config", "latency", "memory", "object", "save", "slowlog", "object|freq",
               "object|idletime"}


class Table(unittest.TestCase):
    """Each row of the command table, each option of its syntax, an error and a reply of it, is in a transcript."""

    def setUp(self):
        self.seen, self.words = {}, {}
        with Server() as server, server.client() as client:
            rows = {name.decode() for name in client.ask("COMMAND", "LIST")}
            self.syntax = {row: client.ask("HELP", *row.split("|")).decode().splitlines()[0] for row in rows}
        for entries in transcripts().values():
            for entry in entries:
                row = self.row_of(entry.words)
                if row is not None:
                    self.seen.setdefault(row, []).append(entry)
                    self.words.setdefault(row, set()).update(word.upper() for word in entry.words[1:])

    def row_of(self, words):
        first, second = (word.decode("latin-1").lower() for word in [*words, b""][:2])
        both = f"{first}|{second}"
        return both if both in self.syntax else first if first in self.syntax and "|" not in first else None

    def test_every_row_has_a_transcript(self):
        self.assertGreater(len(self.syntax), 90)
        self.assertEqual(sorted(set(self.syntax) - set(self.seen) - set(ELSEWHERE)), [])

    def test_every_option_is_in_a_transcript(self):
        missing = [f"{row}: {token}" for row, syntax in self.syntax.items() if row not in ELSEWHERE
                   for token in re.findall(r"(?<![\w-])[A-Z][A-Z-]+(?![\w-])", syntax.partition(" ")[2])
                   if token.encode() not in self.words.get(row, set()) and token.lower() not in row]
        self.assertEqual(sorted(missing), [])

    def test_every_row_has_an_error_and_a_reply_in_a_transcript(self):
        failed = {row for row, entries in self.seen.items()
                  if any(entry.lines and entry.lines[0].startswith(b"-") for entry in entries)}
        answered = {row for row, entries in self.seen.items()
                    if any(not entry.lines[0].startswith(b"-") for entry in entries)}
        self.assertEqual(sorted(set(self.syntax) - failed - NEVER_FAIL - set(ELSEWHERE)), [])
        self.assertEqual(sorted(set(self.syntax) - answered - ONLY_REFUSE - set(ELSEWHERE)), [])


class Scans(unittest.TestCase):
    def fill(self, client, count):
        client.send(b"".join(request("SET", f"key:{i}", i) for i in range(count)))
        for _ in range(count):
            self.assertEqual(client.reply(), b"OK")

    def test_scan_shows_each_key_once_beside_writers_on_any_connection(self):
        with Server("--threads", "2") as server, server.client() as one, server.client() as two:
            self.fill(one, 5000)
            stop = threading.Event()
            writers = [threading.Thread(target=self.rewrite, args=(server, stop, n)) for n in range(2)]
            for writer in writers:
                writer.start()
            try:
                for _ in range(10):
                    self.fill(one, 5000)
                    cursor, seen = one.ask("SCAN", 0, "MATCH", "key:*", "COUNT", 77)
                    while cursor != b"0":
                        one, two = two, one
                        self.assertLess(int(cursor), 1 << 53)
                        cursor, keys = one.ask("SCAN", cursor, "MATCH", "key:*", "COUNT", 77)
                        seen += keys
                    self.assertEqual(len(seen), len(set(seen)))
                    self.assertEqual(set(seen), {b"key:%d" % i for i in range(5000)})
            finally:
                stop.set()
                for writer in writers:
                    writer.join()

    @staticmethod
    def rewrite(server, stop, number):
        with server.client() as client:
            i = 0
            while not stop.is_set():
                i += 1
                client.send(request("SET", f"key:{i % 5000}", i) + request("SET", f"new:{number}:{i}", i) +
                            request("DEL", f"new:{number}:{i - 50}"))
                for _ in range(3):
                    client.reply()

    def test_values_are_those_of_the_same_instant(self):
        with Server() as server, server.client() as client:
            self.fill(client, 3000)
            cursor, pairs = client.ask("SCAN", 0, "WITHVALUES", "COUNT", 100)
            client.ask("FLUSHALL")
            client.ask("SET", "key:0", "new")
            while cursor != b"0":
                cursor, page = client.ask("SCAN", cursor, "COUNT", 500, "WITHVALUES")
                pairs += page
            self.assertEqual(dict(zip(pairs[::2], pairs[1::2])), {b"key:%d" % i: b"%d" % i for i in range(3000)})
            self.assertEqual(len(pairs), 6000)

    def test_page_can_be_asked_for_again_on_another_connection(self):
        with Server("--threads", "2") as server, server.client() as one, server.client() as two:
            self.fill(one, 1000)
            cursor, _ = one.ask("SCAN", 0)
            page = one.ask("SCAN", cursor, "COUNT", 50)
            one.ask("FLUSHALL")
            self.assertEqual(two.ask("SCAN", cursor, "COUNT", 3), page)
            with_values = two.ask("SCAN", cursor, "WITHVALUES")
            self.assertEqual(with_values[0], page[0])
            self.assertEqual(with_values[1][::2], page[1])
            two.ask("SCAN", page[0])
            with self.assertRaisesRegex(ReplyError, "^NOSCAN the scan has expired; start again with SCAN 0$"):
                one.ask("SCAN", cursor)

    def test_too_many_scans_are_refused_until_one_is_idle_or_done(self):
        with Server("--max-scans", "2") as server, server.client() as client:
            self.fill(client, 1000)
            cursors = [client.ask("SCAN", 0)[0] for _ in range(2)]
            with self.assertRaisesRegex(ReplyError, "^ERR too many scans$"):
                client.ask("SCAN", 0)
            self.assertEqual(client.ask("SCAN", cursors[0], "COUNT", 10000)[0], b"0")
            client.ask("SCAN", 0)
            client.ask("SCAN", cursors[1])

    def test_idle_scan_is_closed(self):
        with Server("--scan-idle-timeout", "200ms") as server, server.client() as client:
            self.fill(client, 1000)
            cursor, _ = client.ask("SCAN", 0)
            while b"strobe_scans_open:1\r\n" in client.ask("INFO", "stats"):
                pass
            with self.assertRaisesRegex(ReplyError, "^NOSCAN "):
                client.ask("SCAN", cursor)

    def test_keys_of_many_keys_leaves_the_loop_to_others(self):
        with Server("--threads", "1") as server, server.client() as client, server.client() as other:
            self.fill(client, 100000)
            client.send(request("KEYS", "key:*") + request("PING"))
            self.assertEqual(other.ask("SET", "meanwhile", "1"), b"OK")
            keys = client.reply()
            self.assertEqual(client.reply(), b"PONG")
            self.assertEqual(len(keys), 100000)
            self.assertEqual(set(keys), {b"key:%d" % i for i in range(100000)})


class People(unittest.TestCase):
    def test_help_on_an_inline_connection_is_a_page_to_read(self):
        with Server() as server, server.client() as client:
            client.send(b"HELP\r\nhelp set\r\nHELP nosuch\r\n")
            page = client.reply().decode()
            self.assertIn("SCAN cursor [MATCH pattern] [COUNT count] [TYPE type] [WITHVALUES]\n", page)
            self.assertIn("SET key value [NX | XX | IFVER version]", client.reply().decode())
            self.assertIn("HELP alone lists all", client.reply().decode())

    def test_info_has_the_fields_that_dashboards_look_for(self):
        with Server() as server, server.client() as client:
            client.ask("SET", "k", "v", "EX", 100)
            client.ask("GET", "k")
            client.ask("GET", "none")
            text = client.ask("INFO").decode()
            fields = dict(line.split(":", 1) for line in text.split("\r\n") if ":" in line)
            self.assertEqual(int(fields["tcp_port"]), server.port)
            for name in ("redis_version strobe_version redis_mode os process_id run_id tcp_port uptime_in_seconds "
                         "connected_clients maxclients blocked_clients used_memory used_memory_human used_memory_rss "
                         "used_memory_peak maxmemory maxmemory_policy mem_fragmentation_ratio mem_allocator loading "
                         "total_connections_received total_commands_processed total_net_input_bytes expired_keys "
                         "evicted_keys keyspace_hits keyspace_misses role connected_slaves used_cpu_sys used_cpu_user "
                         "cluster_enabled rejected_connections").split():
                self.assertIn(name, fields)
            self.assertEqual(fields["db0"], "keys=1,expires=1,avg_ttl=0")
            self.assertEqual((fields["keyspace_hits"], fields["keyspace_misses"]), ("1", "1"))
            self.assertEqual(fields["role"], "master")
            self.assertTrue(client.ask("INFO", "KEYSPACE").startswith(b"# Keyspace\r\ndb0:"))
            self.assertIn(b"# CPU\r\n", client.ask("INFO", "keyspace", "cpu"))
            self.assertIn(b"cmdstat_get:calls=2,", client.ask("INFO", "commandstats"))

    def test_commandstats_count_calls_errors_and_refusals_as_redis_does(self):
        """The figures are those of redis-server 7.0.15 for the same lines, but that an unknown subcommand is refused
        under the name of its container."""
        lines = ("SET k v", "GET k", "GET", "SET k v EX x", "INCR k", "CLIENT NONE", "CLIENT", "NONE", "MULTI", "GET k",
                 "SET k w", "WATCH k", "EXEC", "MULTI", "GET k", "GET k", "EXEC")
        with Server() as server, server.client() as client:
            for line in lines:
                client.send(line.encode() + b"\r\n")
                client.reply()
            text, stats = client.ask("INFO", "commandstats").decode(), client.ask("INFO", "stats").decode()
            found = re.findall(r"^cmdstat_(\S+):calls=(\d+),usec=\d+,usec_per_call=\d+\.\d\d,rejected_calls=(\d+),"
                               r"failed_calls=(\d+)\r$", text, re.MULTILINE)
            self.assertEqual({name: tuple(map(int, numbers)) for name, *numbers in found},
                             {"get": (4, 1, 0), "set": (3, 0, 1), "incr": (1, 0, 1), "client": (0, 2, 0),
                              "multi": (2, 0, 0), "exec": (2, 0, 0), "watch": (1, 0, 1)})
            self.assertIn("\r\ntotal_commands_processed:14\r\n", stats)
            self.assertIn("\r\ntotal_error_replies:7\r\n", stats)

    def test_commandstats_have_the_time_of_commands(self):
        with Server() as server, server.client() as client:
            for _ in range(3):
                client.ask("MSET", *[word for i in range(20000) for word in (f"key:{i}", "v")])
            found = re.search(r"cmdstat_mset:calls=3,usec=(\d+),usec_per_call=([\d.]+),",
                              client.ask("INFO", "commandstats").decode())
            self.assertGreater(int(found[1]), 300)
            self.assertAlmostEqual(float(found[2]), int(found[1]) / 3, delta=1)

    def test_client_list_shows_who_is_there(self):
        with Server("--threads", "2") as server, server.client() as one, server.client() as two:
            one.ask("CLIENT", "SETNAME", "first")
            two.ask("CLIENT", "SETINFO", "LIB-NAME", "mine")
            number = two.ask("CLIENT", "ID")
            lines = [dict(pair.split("=", 1) for pair in shlex.split(line))
                     for line in one.ask("CLIENT", "LIST").decode().splitlines()]
            self.assertEqual({line["name"] for line in lines}, {"first", ""})
            self.assertEqual({line["lib-name"] for line in lines}, {"mine", ""})
            self.assertIn(f"id={number} addr=127.0.0.1:", one.ask("CLIENT", "LIST", "ID", number).decode())
            self.assertEqual(one.ask("CLIENT", "LIST", "ID", number + 1000), b"")
            self.assertIn(b" name=first ", one.ask("CLIENT", "INFO"))


if __name__ == "__main__":
    unittest.main()
