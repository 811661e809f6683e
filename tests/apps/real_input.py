#!/usr/bin/env python3
"""real_input.py - Debian's own package index goes in through one door and comes out of the other, byte for byte, and a
scan of it is a photograph while half of it is being rewritten.

    real_input.py        prints what it did and how long each step took; any difference is a failure

The records are the stanzas of the machine's dpkg status and of its apt lists (apt-helper reads those, compressed or
not; nothing is installed), `package=version/arch@source -> stanza`: tens of thousands of 100 bytes to tens of
kilobytes, some with UTF-8. One map gets them from one curl, another from `redis-cli --pipe`.

The photograph: one writer rewrites every second record, in one fixed order, round after round. So at any instant the
records' rounds, in that order, are r r r r q q q with q = r - 1, and a scan that shows anything else mixed two
instants. Their sum is the number of writes that the scan has seen: no fewer than were acknowledged before it was asked
for, and no more than were sent before its first page came."""
import base64
import glob
import json
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "wire"))
import http_client
import strobe_test

STATUS = "/var/lib/dpkg/status"
LISTS = "/var/lib/apt/lists/*_Packages*"
APT_HELPER = "/usr/lib/apt/apt-helper"
RECORDS_MIN = 20000  # the main archive alone has three times as many; fewer means that the lists were not read
SCANS = 2  # of each kind, while the writer writes
BATCH = 500  # requests that are sent before their replies are read

WRITTEN = re.compile(rb"Round: (\d+)\n(.*)\nRound: (\d+)\n", re.DOTALL)
NAMES = {name: re.compile(b"^" + name + b": (.+)$", re.MULTILINE) for name in (b"Package", b"Version", b"Architecture")}


def need(truth, message):
    if not truth:
        raise SystemExit(f"real_input: {message}")


class Step:
    """Prints what took how long."""

    def __init__(self, what):
        self.what = what
        self.told = ""

    def __enter__(self):
        self.start = time.monotonic()
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            print(f"{time.monotonic() - self.start:7.2f} s  {self.what}{self.told}", flush=True)


# ---- the records ---------------------------------------------------------------------------------------------------


def files_of_index():
    lists = sorted(glob.glob(LISTS))
    if not lists:
        print("real_input: there are no apt lists; apt-get update fetches them", flush=True)
        subprocess.run(["apt-get", "-q", "update"], check=False, stdin=subprocess.DEVNULL, timeout=120)
        lists = sorted(glob.glob(LISTS))
    need(lists, f"no file {LISTS}, and apt-get update (needs root and a network) did not bring one; "
                "the dpkg status alone is too little")
    return [("status", STATUS)] + [(f"list{i}", path) for i, path in enumerate(lists)]


def read_records():
    """key -> stanza, in the order of the files."""
    records = {}
    for source, path in files_of_index():
        text = subprocess.run([APT_HELPER, "cat-file", path], check=True, capture_output=True).stdout
        for stanza in text.split(b"\n\n"):
            if not stanza.strip():
                continue
            # a package that was removed but not purged has no Version
            name, version, arch = (found[1] if (found := NAMES[field].search(stanza)) else b"none"
                                   for field in (b"Package", b"Version", b"Architecture"))
            key = name + b"=" + version + b"/" + arch + b"@" + source.encode()
            need(key not in records, f"{path} has {key} twice")
            records[key] = stanza.strip(b"\n") + b"\n"
    return records


# ---- in ------------------------------------------------------------------------------------------------------------


def url_of(server, key):
    return f"http://127.0.0.1:{server.http_port}/kv/{urllib.parse.quote(key)}"


def curl_quoted(data):
    """As curl's config files quote: the backslash has a meaning for ", itself, n and t."""
    text = data.decode("utf-8", "surrogateescape").replace("\\", "\\\\").replace('"', '\\"')
    return '"' + text.replace("\n", "\\n").replace("\t", "\\t") + '"'


def load_by_curl(server, records):
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", errors="surrogateescape", suffix=".curl") as config:
        for i, (key, stanza) in enumerate(records.items()):
            config.write(f"{'next' if i else ''}\nurl = \"{url_of(server, key)}\"\nrequest = PUT\n"
                         f"fail\nsilent\nshow-error\noutput = /dev/null\ndata-raw = {curl_quoted(stanza)}\n")
        config.flush()
        done = subprocess.run(["curl", "--parallel", "--parallel-max", "8", "--no-progress-meter", "-K", config.name],
                              capture_output=True, timeout=180, check=False)
    need(done.returncode == 0, f"curl ended with {done.returncode}: {done.stderr[-1000:]}")


def load_by_pipe(server, records):
    stream = b"".join(strobe_test.request("SET", key, stanza) for key, stanza in records.items())
    done = subprocess.run(["redis-cli", "-p", str(server.port), "--pipe"], input=stream, timeout=120,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    told = done.stdout.decode()
    need(done.returncode == 0 and f"errors: 0, replies: {len(records)}" in told, f"redis-cli --pipe: {told}")


# ---- out -----------------------------------------------------------------------------------------------------------


def batches(items):
    return (items[i:i + BATCH] for i in range(0, len(items), BATCH))


def compare(door, key, wanted, got):
    need(got == wanted, f"{key} over {door} is {got!r:.300}, not {wanted!r:.300}")


def read_by_text(server, records):
    need(server.resp("DBSIZE") == len(records), f"DBSIZE is {server.resp('DBSIZE')}, not {len(records)}")
    with server.client() as client:
        for keys in batches(list(records)):
            client.send(b"".join(strobe_test.request("GET", key) for key in keys))
            for key in keys:
                compare("the text door", key, records[key], client.reply())


def read_by_http(server, records):
    client = http_client.Client(server.http_port)
    for keys in batches(list(records)):
        client.send(b"".join(http_client.get(b"/kv/" + urllib.parse.quote(key).encode()) for key in keys))
        for key in keys:
            reply = client.reply()
            need(reply.status == 200, f"{key} over HTTP: {reply}")
            compare("HTTP", key, records[key], reply.body)
    client.close()


# ---- the photograph ------------------------------------------------------------------------------------------------


def rewritten(stanza, number):
    return b"Round: %d\n%s\nRound: %d\n" % (number, stanza, number)


def write_rounds(port, order, records, stop, written):
    """A process of its own: rewrites ORDER's records round after round until STOP. WRITTEN counts acknowledgements."""
    with strobe_test.Client(("127.0.0.1", port)) as client:
        number = 0
        while not stop.is_set():
            number += 1
            for keys in batches(order):
                client.send(b"".join(strobe_test.request("SET", key, rewritten(records[key], number)) for key in keys))
                for key in keys:
                    if client.reply() != b"OK":
                        os._exit(1)
                written.value += len(keys)
                if stop.is_set():
                    break


def json_bytes(value):
    return base64.b64decode(value["base64"]) if isinstance(value, dict) else value.encode()


def stream_pairs(server, arrived):
    """GET /kv/?stream&values; the last line must say that it is whole. Calls ARRIVED when it has begun."""
    client = http_client.Client(server.http_port)
    client.send(http_client.get(b"/kv/?stream&values"))
    head = client.head()
    arrived()
    need(head.status == 200, f"the stream: {head}")
    lines = b"".join(client.chunks()).split(b"\n")
    client.close()
    last = json.loads(lines[-2])
    need(lines[-1] == b"" and last == {"done": True, "count": len(lines) - 2}, f"the stream's last line is {last}")
    return [(json_bytes(row["key"]), json_bytes(row["value"])) for row in map(json.loads, lines[:-2])]


def scan_pairs(server, arrived):
    """SCAN ... WITHVALUES to its end. Calls ARRIVED after its first page."""
    pairs, cursor, pages = [], b"0", 0
    with server.client() as client:
        while pages == 0 or cursor != b"0":
            cursor, page = client.ask("SCAN", cursor, "COUNT", 200, "WITHVALUES")
            if pages == 0:
                arrived()
            need(int(cursor) < 2**53, f"cursor {cursor}")
            pairs += zip(page[::2], page[1::2])
            pages += 1
    need(pages > 10, f"only {pages} pages: not the scan that this test is for")
    return pairs


def round_of(key, stanza, value):
    """Which round's value this is, 0 for the stanza as loaded; a value that is not whole is a failure."""
    if value == stanza:
        return 0
    found = WRITTEN.fullmatch(value)
    need(found and found[1] == found[3] and found[2] == stanza, f"{key} has a value that nobody wrote: {value!r:.300}")
    return int(found[1])


def check_photograph(pairs, order, records):
    """Every record once, those that nobody rewrites as loaded, the others as of one instant. Gives the writes seen."""
    seen = dict(pairs)
    need(len(seen) == len(pairs), f"{len(pairs) - len(seen)} records came twice")
    missing = records.keys() - seen.keys()
    need(not missing, f"{len(missing)} records are missing, {sorted(missing)[:3]} among them")
    need(len(seen) == len(records), f"{len(seen) - len(records)} records were invented")
    rounds = [round_of(key, records[key], seen.pop(key)) for key in order]
    for key, value in seen.items():
        compare("a scan", key, records[key], value)
    for i in range(1, len(rounds)):
        need(rounds[i] <= rounds[i - 1], f"{order[i]} is of round {rounds[i]}, but {order[i - 1]}, written before it, "
                                         f"of round {rounds[i - 1]}")
    need(rounds[0] - rounds[-1] <= 1, f"rounds {rounds[-1]} to {rounds[0]} in one scan")
    return sum(rounds)


def check_the_check():
    """A photograph that is none must be noticed, each kind of it."""
    records = {b"%d" % i: b"Package: p%d\n" % i for i in range(8)}
    order = list(records)[::2]
    good = dict(records)
    for key, number in zip(order, (5, 5, 4, 4)):
        good[key] = rewritten(records[key], number)
    need(check_photograph(list(good.items()), order, records) == 18, "the check counts wrong")
    torn = rewritten(records[order[0]], 5).replace(b"Round: 5\n", b"Round: 6\n", 1)
    for what, pairs in {
        "a record twice": [*good.items(), (b"1", good[b"1"])],
        "a record missing": list(good.items())[:-1],
        "a record invented": [*good.items(), (b"9", b"")],
        "another record changed": list({**good, b"1": b"x"}.items()),
        "a value torn": list({**good, order[0]: torn}.items()),
        "a value of another record": list({**good, order[0]: good[order[1]]}.items()),
        "two instants": list({**good, order[1]: rewritten(records[order[1]], 4),
                              order[2]: rewritten(records[order[2]], 5)}.items()),
        "rounds too far apart": list({**good, order[3]: rewritten(records[order[3]], 3)}.items()),
    }.items():
        try:
            check_photograph(pairs, order, records)
        except SystemExit:
            continue
        raise SystemExit(f"real_input: the check is blind for {what}")


def photograph(server, records):
    order = list(records)[::2]
    stop = multiprocessing.Event()
    written = multiprocessing.Value("Q", 0)
    writer = multiprocessing.Process(target=write_rounds, daemon=True,
                                     args=(server.port, order, records, stop, written))
    writer.start()
    try:
        while written.value < len(order):
            need(writer.is_alive(), "the writer has ended")
            time.sleep(0.01)
        for name, pairs_of in (("GET /kv/?stream&values", stream_pairs), ("SCAN WITHVALUES", scan_pairs)) * SCANS:
            with Step(f"{name}, every record once") as step:
                before, begun, start = written.value, [], time.monotonic()
                pairs = pairs_of(server, lambda begun=begun: begun.append(written.value))
                step.told = f": {time.monotonic() - start:.2f} s beside {written.value - before} writes"
                need(writer.is_alive() and written.value > begun[0] + BATCH, "too little was written during the scan")
                seen = check_photograph(pairs, order, records)
                sent = begun[0] + BATCH
                need(before <= seen <= sent, f"{seen} writes were seen; {before} were acknowledged before, "
                                             f"and at most {sent} sent before the first page came")
    finally:
        stop.set()
        writer.join(30)
        if writer.is_alive():
            writer.kill()
    need(writer.exitcode == 0, f"the writer ended with {writer.exitcode}")
    need(server.resp("DBSIZE") == len(records), "the table has another size than before")


def main():
    start = time.monotonic()
    check_the_check()
    with Step("read the package index") as step:
        records = read_records()
        sizes = sorted(map(len, records.values()))
        foreign = sum(not stanza.isascii() for stanza in records.values())
        step.told = f": {len(records)} records of {sizes[0]} to {sizes[-1]} bytes, {foreign} with more than ASCII"
    need(len(records) >= RECORDS_MIN, f"only {len(records)} records in {LISTS}; apt-get update may mend it")
    need(foreign > 0, "no record has more than ASCII, so UTF-8 was not tried")
    with strobe_test.Server() as first, strobe_test.Server() as second:
        with Step("loaded over HTTP by one curl"):
            load_by_curl(first, records)
        with Step("read back over the text door"):
            read_by_text(first, records)
        with Step("loaded by redis-cli --pipe"):
            load_by_pipe(second, records)
        with Step("read back over HTTP"):
            read_by_http(second, records)
        photograph(second, records)
    print(f"{time.monotonic() - start:7.2f} s  in all")


if __name__ == "__main__":
    main()
