#!/usr/bin/env python3
"""test_http_stream.py - listings over HTTP: pages and streams show every key of one instant, each once."""
import base64
import json
import os
import re
import socket
import threading
import time
import unittest
import zlib

from http_client import HttpCase, get, put
from strobe_test import request


def load(server, count, prefix="k", value=lambda i: b"v%d" % i):
    """COUNT keys, through the text door in one pipeline."""
    pieces = []
    for i in range(count):
        key, data = b"%s%d" % (prefix.encode(), i), value(i)
        pieces.append(b"*3\r\n$3\r\nSET\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n" % (len(key), key, len(data), data))
    with socket.create_connection(("127.0.0.1", server.port), 20) as door:
        sender = threading.Thread(target=door.sendall, args=(b"".join(pieces),))
        sender.start()
        got = 0
        while got < 5 * count:
            got += len(door.recv(1 << 16))
        sender.join()


def text(item):
    """The bytes that a JSON string, or the object in its place, stands for."""
    return base64.b64decode(item["base64"]) if isinstance(item, dict) else item.encode()


class ListCase(HttpCase):
    def setUp(self):
        self.server.resp("FLUSHALL")

    def pages(self, query, follow="link"):
        """The items of all pages, by the link or by the cursor of each."""
        path, seen = b"/kv/?" + query, []
        client = self.open()
        while True:
            client.send(get(path))
            reply = client.reply()
            self.assertEqual(reply.status, 200, reply)
            page = json.loads(reply.body)
            seen.append(page.get("keys", page.get("entries")))
            self.assertEqual("cursor" in page, "link" in reply.headers)
            if "cursor" not in page:
                return seen
            if follow == "link":
                path = re.fullmatch(r'<(.*)>; rel="next"', reply.headers["link"])[1].encode()
            else:
                path = b"/kv/?" + query + b"&cursor=" + page["cursor"].encode()

    def stream(self, query=b"stream", *lines):
        reply = self.ask(get(b"/kv/?" + query, *lines))
        self.assertEqual(reply.headers["content-type"], "application/x-ndjson")
        lines = [json.loads(line) for line in reply.body.split(b"\n")[:-1]]
        self.assertEqual(lines[-1], {"done": True, "count": len(lines) - 1})
        return lines[:-1]


class PageTest(ListCase):
    def test_pages_hold_every_key_once(self):
        load(self.server, 5000)
        for follow in ("link", "cursor"):
            pages = self.pages(b"limit=700", follow)
            keys = [key for page in pages for key in page]
            self.assertEqual(sorted(keys), sorted(f"k{i}" for i in range(5000)))
            self.assertTrue(all(len(page) <= 700 for page in pages))
        self.assertEqual(len(self.pages(b"")[0]), 1000)
        self.assertLessEqual(len(self.pages(b"limit=999999")[0]), 10000)

    def test_empty_map_has_one_empty_page(self):
        self.assertEqual(self.pages(b""), [[]])
        self.assertEqual(self.stream(), [])

    def test_prefix_and_match_choose(self):
        load(self.server, 500, "user:")
        load(self.server, 500, "item/")
        chosen = {key for page in self.pages(b"prefix=user%3A&limit=50") for key in page}
        self.assertEqual(chosen, {f"user:{i}" for i in range(500)})
        chosen = {key for page in self.pages(b"match=*9&prefix=item/&limit=50") for key in page}
        self.assertEqual(chosen, {f"item/{i}" for i in range(500) if i % 10 == 9})
        self.assertEqual({line["key"] for line in self.stream(b"stream&match=user:1?")},
                         {f"user:1{i}" for i in range(10)})

    def test_values_come_with_version_and_ttl(self):
        etag = self.ask(put(b"/kv/a?ttl=100", b"one")).headers["etag"].strip('"')
        self.server.resp("SET", "b", "two")
        entries = {entry["key"]: entry for page in self.pages(b"values") for entry in page}
        self.assertEqual(entries["a"]["value"], "one")
        self.assertEqual(entries["a"]["version"], etag)
        self.assertIn(entries["a"]["ttl"], (99, 100))
        self.assertEqual((entries["b"]["value"], entries["b"]["ttl"]), ("two", None))
        lines = self.stream(b"stream&values")
        self.assertEqual({line["key"]: line["value"] for line in lines}, {"a": "one", "b": "two"})
        self.assertIn("keys", json.loads(self.ask(get(b"/kv/?values=0")).body))

    def test_bytes_that_are_not_utf8_come_as_base64(self):
        self.server.resp("SET", b"\xff\x00", b"\x80\x81")
        self.server.resp("SET", "ä\"\\\n\x01", "ü€😀")
        entries = {text(entry["key"]): text(entry["value"]) for page in self.pages(b"values") for entry in page}
        wanted = {b"\xff\x00": b"\x80\x81", "ä\"\\\n\x01".encode(): "ü€😀".encode()}
        self.assertEqual(entries, wanted)
        self.assertEqual({text(line["key"]): text(line["value"]) for line in self.stream(b"stream&values")}, wanted)

    def test_page_can_be_asked_for_again(self):
        load(self.server, 3000)
        first = json.loads(self.ask(get(b"/kv/?limit=1000")).body)
        path = b"/kv/?limit=%d&cursor=" + first["cursor"].encode()
        second = json.loads(self.ask(get(path % 1000)).body)
        self.ask(put(b"/kv/k1", b"changed"))
        self.server.resp("FLUSHALL")
        again = json.loads(self.ask(get(path % 10)).body)
        self.assertEqual(sorted(again["keys"]), sorted(second["keys"]))

    def test_listing_is_of_one_instant(self):
        load(self.server, 4000)
        first = json.loads(self.ask(get(b"/kv/?limit=100")).body)
        self.server.resp("FLUSHALL")
        load(self.server, 500, "new")
        keys, cursor = first["keys"], first["cursor"]
        while cursor:
            page = json.loads(self.ask(get(b"/kv/?limit=1000&cursor=" + cursor.encode())).body)
            keys += page["keys"]
            cursor = page.get("cursor")
        self.assertEqual(sorted(keys), sorted(f"k{i}" for i in range(4000)))

    def test_link_repeats_a_prefix_of_any_bytes(self):
        for i in range(50):
            self.server.resp("SET", b"\xff&=%%+ %d" % i, "v")
        found = [text(key) for page in self.pages(b"prefix=%FF%26%3D%25%2B+&limit=7") for key in page]
        self.assertEqual(sorted(found), sorted(b"\xff&=%%+ %d" % i for i in range(50)))


class DeleteTest(ListCase):
    def delete(self, query):
        return self.ask(put(b"/kv/" + query, b"", method=b"DELETE"))

    def test_prefix_goes_and_the_rest_stays(self):
        load(self.server, 5000, "go:")
        load(self.server, 500, "stay:")
        reply = self.delete(b"?prefix=go%3A")
        self.assertEqual((reply.status, json.loads(reply.body)), (200, {"deleted": 5000}))
        self.assertEqual(self.server.resp("DBSIZE"), 500)
        self.assertEqual(json.loads(self.delete(b"?prefix=none").body), {"deleted": 0})

    def test_everything_goes_only_when_said_so(self):
        load(self.server, 100)
        for query in (b"", b"?prefix=", b"?al", b"?prefix=%zz", b"?prefix=k&match=1"):
            self.assertEqual(self.delete(query).status, 400)
        self.assertEqual(self.server.resp("DBSIZE"), 100)
        self.assertEqual(self.delete(b"?all=0").status, 400)
        self.assertEqual(json.loads(self.delete(b"?all").body), {"deleted": 100})
        self.assertEqual(self.server.resp("DBSIZE"), 0)

    def test_later_writes_survive_and_are_answered_meanwhile(self):
        load(self.server, 30000)
        client = self.open()
        client.send(put(b"/kv/?prefix=k", b"", method=b"DELETE") + get(b"/healthz"))
        written = 0
        while self.ask(put(b"/kv/k%d" % written, b"later")).status == 204:
            written += 1
        deleted = json.loads(client.reply().body)["deleted"]
        self.assertEqual(client.reply().body, b"ok\n")
        self.assertGreaterEqual(deleted, 30000 - written)
        self.assertEqual(self.server.resp("DBSIZE"), 30000 - deleted + 1)


class StreamTest(ListCase):
    def test_stream_holds_every_key_once_beside_writers(self):
        load(self.server, 20000)
        stop = threading.Event()

        def write():
            client = self.open()
            i = 0
            while not stop.is_set():
                batch = b"".join(put(b"/kv/k%d" % ((i + j) * 7919 % 20000), b"again") for j in range(50))
                batch += b"".join(put(b"/kv/other%d" % (i + j), b"x") for j in range(50))
                client.send(batch)
                for _ in range(100):
                    client.reply()
                i += 50

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for _ in range(5):
                keys = [line["key"] for line in self.stream(b"stream&values&prefix=k")]
                self.assertEqual(len(keys), 20000)
                self.assertEqual(set(keys), {f"k{i}" for i in range(20000)})
        finally:
            stop.set()
            writer.join()

    def test_accept_asks_for_a_stream_too(self):
        load(self.server, 10)
        self.assertEqual(len(self.stream(b"prefix=k", b"Accept: application/x-ndjson")), 10)

    def test_gzip_is_for_those_who_accept_it(self):
        load(self.server, 10)
        for accept, packed in ((b"gzip", True), (b"deflate, gzip, br", True), (b"GZIP;q=0.5", True),
                               (b"gzip;q=0", False), (b"gzip;q=0.000, *", False), (b"*", False), (b"br", False),
                               (b"", False)):
            for head in (False, True):
                request = get(b"/kv/?stream", b"Accept-Encoding: " + accept)
                reply = self.ask(request.replace(b"GET", b"HEAD", 1) if head else request, head)
                self.assertEqual(reply.headers.get("content-encoding"), "gzip" if packed else None, accept)
                self.assertIn("Accept-Encoding", reply.headers["vary"])
            self.assertEqual(reply.status, 200)
        for path in (b"/kv/", b"/kv/k1", b"/metrics"):
            self.assertNotIn("content-encoding", self.ask(get(path, b"Accept-Encoding: gzip")).headers)

    def test_gzip_holds_the_same_lines_and_gives_each_as_it_is_made(self):
        load(self.server, 5000)
        values = {b"text": ("ä€😀\"\n" * 100000).encode(), b"bytes": os.urandom(1000001)}
        for key, value in values.items():
            self.server.resp("SET", key, value)
        client = self.open()
        client.send(get(b"/kv/?stream&values", b"Accept-Encoding: gzip") + get(b"/healthz"))
        client.head()
        unpack, text = zlib.decompressobj(31), b""
        for chunk in client.chunks():
            self.assertFalse(unpack.eof)
            fresh = unpack.decompress(chunk)
            self.assertTrue(fresh)  # what was sent can be read at once
            text += fresh
        self.assertTrue(unpack.eof and not unpack.unused_data)
        self.assertEqual(client.reply().body, b"ok\n")
        plain = self.ask(get(b"/kv/?stream&values")).body
        self.assertEqual(sorted(text.splitlines()), sorted(plain.splitlines()))
        self.assertEqual(json.loads(text.splitlines()[-1]), {"done": True, "count": 5002})

    def test_connection_goes_on_behind_a_stream(self):
        load(self.server, 3000)
        client = self.open()
        client.send(get(b"/kv/?stream") + get(b"/healthz") + get(b"/kv/?stream") + get(b"/healthz"))
        for _ in range(2):
            self.assertEqual(client.reply().body.count(b"\n"), 3001)
            self.assertEqual(client.reply().body, b"ok\n")

    def test_http10_stream_ends_with_the_connection(self):
        load(self.server, 3000)
        client = self.open()
        client.send(b"GET /kv/?stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        reply = client.reply()
        self.assertNotIn("transfer-encoding", reply.headers)
        self.assertEqual(reply.headers["connection"], "close")
        self.assertEqual(json.loads(reply.body.split(b"\n")[-2]), {"done": True, "count": 3000})

    def test_large_values_come_whole(self):
        values = {b"text": ("ä€😀\"\n" * 100000).encode(), b"bytes": os.urandom(3000001),
                  b"cut": b"a" * 300000 + b"\xe2\x82", b"edge": b"x" * 16384,
                  b"late": b"y" * 262143 + "€".encode() * 9, b"small": b"\xff" * 16383}
        for key, value in values.items():
            self.server.resp("SET", key, value)
        lines = self.stream(b"stream&values")
        self.assertEqual({text(line["key"]): text(line["value"]) for line in lines}, values)
        self.assertEqual({line["key"] for line in lines if isinstance(line["value"], dict)}, {"bytes", "cut", "small"})
        self.assertTrue(all(line["version"].isdigit() and line["ttl"] is None for line in lines))

    def test_slow_reader_holds_little_memory(self):
        load(self.server, 200, "big", lambda i: b"%d" % i * 20000)
        clients = [self.open(receive_buffer=4096) for _ in range(20)]
        before = self.memory()
        for client in clients:
            client.send(get(b"/kv/?stream&values"))
            client.head()
        streams = [client.chunks() for client in clients]
        read = [[] for _ in clients]
        for _ in range(20):
            for stream, chunks in zip(streams, read):
                chunks.append(next(stream))
            self.assertLess(self.memory() - before, 20 * 256 * 1024)
        for stream, chunks in zip(streams, read):
            lines = b"".join(chunks + list(stream)).split(b"\n")
            self.assertEqual(json.loads(lines[-2]), {"done": True, "count": 200})

    def memory(self):
        body = self.ask(get(b"/metrics")).body.decode()
        return int(re.search(r'strobe_memory_bytes{kind="buffers"} (\d+)', body)[1])

    def test_others_are_served_beside_streams(self):
        load(self.server, 50000)
        streams = [self.open(receive_buffer=4096) for _ in range(30)]
        for client in streams:
            client.send(get(b"/kv/?stream"))
        for i in range(200):
            self.assertEqual(self.ask(get(b"/kv/k%d" % i)).body, b"v%d" % i)
        for client in streams:
            self.assertEqual(b"".join(client.chunks() if client.head() else ()).count(b"\n"), 50001)

    def test_peer_that_leaves_takes_its_snapshot_along(self):
        load(self.server, 50000)
        for _ in range(20):
            client = self.open(receive_buffer=4096)
            client.send(get(b"/kv/?stream"))
            client.head()
            client.close()
        end = time.monotonic() + 20
        while b"\nstrobe_snapshots 0\n" not in self.ask(get(b"/metrics")).body:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)


class TurnTest(ListCase):
    options = ("--threads", "1")

    def count_done(self, other, sample):
        """What SAMPLE of the metrics has counted when OTHER's request is answered."""
        other.send(get(b"/metrics"))
        return int(re.search(rb"\n" + re.escape(sample) + rb" (\d+)\n", other.reply().body)[1])

    def test_others_have_their_turn_between_pipelined_pages(self):
        load(self.server, 20000)
        other, pages, scans = self.open(), self.open(), self.server.client()
        self.addCleanup(scans.close)
        pages.send(get(b"/kv/?limit=10000&match=" + b"*1" * 30) * 400)
        self.assertEqual(pages.reply().status, 200)
        self.assertLess(self.count_done(other, b'strobe_http_requests_total{method="GET"}'), 300)
        for _ in range(399):
            self.assertEqual(pages.reply().status, 200)
        scans.send(request("SCAN", 0, "MATCH", "*1" * 30, "COUNT", 10000) * 400)
        self.assertIsInstance(scans.reply(), list)
        self.assertLess(self.count_done(other, b'strobe_commands_total{command="scan"}'), 300)
        for _ in range(399):
            self.assertIsInstance(scans.reply(), list)


class StallTest(ListCase):
    options = ("--scan-idle-timeout", "1s")

    def test_stalled_reader_is_cut_without_the_closing_line(self):
        load(self.server, 300, "big", lambda i: b"%d" % i * 20000)
        client = self.open(receive_buffer=65536)
        client.send(get(b"/kv/?stream&values"))
        end = time.monotonic() + 20
        while b'reason="stalled-reader"} 1' not in self.ask(get(b"/metrics")).body:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)
        try:
            data = client.rest()
        except ConnectionResetError:
            data = b""
        self.assertNotIn(b'"done"', data)


if __name__ == "__main__":
    unittest.main(verbosity=1)
