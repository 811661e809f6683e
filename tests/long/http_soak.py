#!/usr/bin/env python3
"""http_soak.py - mixed HTTP load for SOAK_SECONDS (60 unless told): values of all sizes, counters, batches, pages, and
streams whose readers are fast, slow, or leave. Every answer is looked at. After every tenth of the time the load pauses
until no scan holds memory, and the resident size is printed: in the second half it is at most a fifth and 16 MiB above
that of the first. (Under load it is what the scans under way happen to hold.)

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

TENTHS = 10
SECONDS = float(os.environ.get("SOAK_SECONDS", "60"))
WORKERS = ("values", "values", "changes", "batches", "pages", "streams", "streams")
KEYS = 2000
SIZES = (0, 1, 32, 32, 32, 500, 16383, 16384, 70000, 300000)


class Soak:
    def __init__(self, server):
        self.server = server
        self.done = {}
        self.faults = []
        self.gate = threading.Barrier(len(WORKERS) + 1)
        self.end = time.monotonic() + SECONDS / TENTHS  # of the tenth

    def work(self, name, seed):
        chance = random.Random(seed)
        client = None
        try:
            for _ in range(TENTHS):
                while time.monotonic() < self.end:
                    client = client or Client(self.server.http_port)
                    if getattr(self, name)(client, chance) is False:
                        client.close()
                        client = None
                    self.done[name] = self.done.get(name, 0) + 1
                self.gate.wait()  # the load rests
                self.gate.wait()  # and goes on
        except threading.BrokenBarrierError:
            pass  # another has a fault
        except BaseException as fault:
            self.faults.append((name, repr(fault)))
            self.gate.abort()
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

    def is_quiet(self):
        with self.server.client() as client:
            memory = client.ask("INFO", "memory").decode()
        return "strobe_scan_bytes:0\r\n" in memory + "\r\n"

    def resident(self):
        strobe_test.until(self.is_quiet)
        with self.server.client() as client:
            client.ask("MEMORY", "PURGE")
        with open(f"/proc/{self.server.pid}/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

    def measure(self):
        """The resident size at the end of each tenth; ends early when somebody has a fault."""
        sizes = []
        try:
            for i in range(TENTHS):
                self.gate.wait()
                sizes.append(self.resident())
                print(f"{SECONDS * (i + 1) / TENTHS:6.0f} s {sizes[-1]:7.1f} MiB resident", flush=True)
                self.end = time.monotonic() + SECONDS / TENTHS
                self.gate.wait()
        except threading.BrokenBarrierError:
            pass
        return sizes

    def run(self):
        threads = [threading.Thread(target=self.work, args=(name, i)) for i, name in enumerate(WORKERS)]
        for thread in threads:
            thread.start()
        sizes = self.measure()
        for thread in threads:
            thread.join()
        print(", ".join(f"{count} {name}" for name, count in sorted(self.done.items())))
        if self.faults:
            raise SystemExit(f"http_soak: {self.faults}")
        if max(sizes[TENTHS // 2:]) > max(sizes[:TENTHS // 2]) * 1.2 + 16:
            raise SystemExit("http_soak: the resident size does not come to rest")


# pages leave scans behind, which pin what is replaced: they shall not outlive a tenth of a run
with strobe_test.Server("--threads", "2", "--scan-idle-timeout", "2s") as strobed:
    Soak(strobed).run()
