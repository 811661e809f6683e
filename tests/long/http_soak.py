#!/usr/bin/env python3
"""http_soak.py - mixed HTTP load for SOAK_SECONDS (60 unless told): values of all sizes, counters, batches, pages, and
streams whose readers are fast, slow, or leave. Every answer is looked at, and the resident size must come to rest: in
the second half it grows by no more than a fifth and 16 MiB. Prints it every tenth of the time.

    SOAK_SECONDS=600 STROBED=/tmp/asan/strobed ASAN_OPTIONS=quarantine_size_mb=16 python3 tests/long/http_soak.py"""
import json
import os
import random
import sys
import threading
import time
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "wire"))
import strobe_test
from http_client import Client, get, put

SECONDS = float(os.environ.get("SOAK_SECONDS", "60"))
KEYS = 2000
SIZES = (0, 1, 32, 32, 32, 500, 16383, 16384, 70000, 300000)


class Soak:
    def __init__(self, server):
        self.server = server
        self.end = time.monotonic() + SECONDS
        self.done = {}
        self.faults = []

    def work(self, name, seed):
        chance = random.Random(seed)
        client = None
        try:
            while time.monotonic() < self.end and not self.faults:
                client = client or Client(self.server.http_port)
                if getattr(self, name)(client, chance) is False:
                    client.close()
                    client = None
                self.done[name] = self.done.get(name, 0) + 1
        except BaseException as fault:
            self.faults.append((name, repr(fault)))
            raise
        finally:
            if client:
                client.close()

    def expect(self, reply, *statuses):
        if reply.status not in statuses:
            raise AssertionError(reply)
        return reply

    def values(self, client, chance):
        key = b"/kv/v%d" % chance.randrange(KEYS)
        body = bytes([chance.randrange(256)]) * chance.choice(SIZES)
        ttl = chance.choice((b"", b"", b"?ttl=1s", b"?ttl=50ms"))
        client.send(put(key + ttl, body) + get(key) + get(key, b"Range: bytes=1-9"))
        self.expect(client.reply(), 201, 204)
        self.expect(client.reply(), 200, 404)
        self.expect(client.reply(), 200, 206, 404, 416)
        if chance.random() < 0.2:
            client.send(put(key, b"", method=b"DELETE"))
            self.expect(client.reply(), 204, 404)

    def changes(self, client, chance):
        key = b"/kv/c%d" % chance.randrange(50)
        client.send(put(key + b"?incr=1", b"", method=b"PATCH") * 20)
        for _ in range(20):
            self.expect(client.reply(), 200)
        log = b"/kv/log%d" % chance.randrange(10)
        client.send(put(log + b"?append", b"x" * chance.choice((1, 1000, 20000)), method=b"PATCH"))
        if int(self.expect(client.reply(), 200).body) > 1 << 20:
            client.send(put(log, b""))
            self.expect(client.reply(), 201, 204)

    def batches(self, client, chance):
        keys = [f"b{chance.randrange(KEYS)}" for _ in range(chance.choice((1, 10, 500)))]
        commands = [["SET", key, "é" * chance.randrange(100)] for key in keys] + [["MGET", *keys], ["DEL", *keys[::3]]]
        body = json.dumps(commands).encode()
        if chance.random() < 0.5:
            body = b"".join(json.dumps(each).encode() + b"\n" for each in commands)
        client.send(put(b"/batch" + chance.choice((b"", b"?atomic")), body, method=b"POST"))
        self.expect(client.reply(), 200)

    def pages(self, client, chance):
        path = b"/kv/?limit=500" + chance.choice((b"", b"&values&prefix=b", b"&match=*7*"))
        client.send(get(path))
        cursor = json.loads(self.expect(client.reply(), 200).body).get("cursor")
        for _ in range(chance.randrange(20)):
            if not cursor:
                return
            client.send(get(path + b"&cursor=" + cursor.encode()))
            cursor = json.loads(self.expect(client.reply(), 200).body).get("cursor")

    def streams(self, client, chance):
        packed = chance.random() < 0.5
        client.send(get(b"/kv/?stream&values", *([b"Accept-Encoding: gzip"] if packed else [])))
        self.expect(client.head(), 200)
        if chance.random() < 0.3:  # leaves in the middle, or at the end where there is little in the map yet
            next(client.chunks())
            return False
        unpack, last = zlib.decompressobj(31), b""
        for chunk in client.chunks():
            last = (last + (unpack.decompress(chunk) if packed else chunk))[-200:]
            if chance.random() < 0.02:
                time.sleep(0.02)  # a reader that is slow at times
        if not json.loads(last.splitlines()[-1])["done"]:
            raise AssertionError(last)
        return None

    def resident(self):
        with open(f"/proc/{self.server.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

    def run(self):
        names = ("values", "values", "changes", "batches", "pages", "streams", "streams")
        threads = [threading.Thread(target=self.work, args=(name, i)) for i, name in enumerate(names)]
        for thread in threads:
            thread.start()
        sizes = []
        for i in range(10):
            time.sleep(max(0, self.end - SECONDS * (9 - i) / 10 - time.monotonic()))
            sizes.append(self.resident())
            print(f"{SECONDS * (i + 1) / 10:6.0f} s {sizes[-1]:7.1f} MiB resident", flush=True)
            if self.faults:
                break
        for thread in threads:
            thread.join()
        print(", ".join(f"{count} {name}" for name, count in sorted(self.done.items())))
        if self.faults:
            raise SystemExit(f"http_soak: {self.faults}")
        if max(sizes[5:]) > max(sizes[:5]) * 1.2 + 16:
            raise SystemExit("http_soak: the resident size does not come to rest")


# pages leave scans behind, which pin what is replaced: they shall not outlive a tenth of a run
with strobe_test.Server("--threads", "2", "--scan-idle-timeout", "2s") as strobed:
    Soak(strobed).run()
