#!/usr/bin/env python3
"""test_control.py - what one connection does to all others: MONITOR, CLIENT KILL, PAUSE and REPLY, CONFIG SET and
REWRITE, SHUTDOWN. On two loops, with connections on either."""
import os
import re
import signal
import stat
import tempfile
import threading
import time
import unittest

import http_client
from strobe_test import ReplyError, Server, request, until

LINE = re.compile(rb"\+\d{10,}\.\d{6} \[0 (\S+)\] (.*)", re.DOTALL)


def clients_of(client, *words):
    """CLIENT LIST as dictionaries by id."""
    lines = client.ask("CLIENT", "LIST", *words).decode().splitlines()
    fields = [dict(pair.split("=", 1) for pair in line.split(" ")) for line in lines]
    return {int(field["id"]): field for field in fields}


def page(server, path):
    with http_client.Client(server.http_port) as client:
        client.send(http_client.get(path))
        return client.reply()


def info(client, section):
    return dict(line.split(":", 1) for line in client.ask("INFO", section).decode().split("\r\n") if ":" in line)


class Monitor(unittest.TestCase):
    def shown(self, monitor):
        line = monitor.line()
        found = LINE.fullmatch(line)
        self.assertIsNotNone(found, line)
        return found[2]

    def test_monitor_sees_the_commands_of_every_loop_with_addresses(self):
        with Server("--threads", "2") as server, server.client() as monitor:
            self.assertEqual(monitor.ask("MONITOR"), b"OK")
            with server.client() as one, server.client() as two:
                for client in (one, two):
                    client.ask("SET", "k", 'a\n\r\t\a\b"\\\x01 b\x7f')
                    place = "%s:%d" % client.socket.getsockname()
                    line = monitor.line()
                    self.assertIn(f" [0 {place}] ".encode(), line)
                    self.assertTrue(line.endswith(rb'"SET" "k" "a\n\r\t\a\b\"\\\x01 b\x7f"'), line)

    def test_monitor_shows_what_was_executed_and_no_password(self):
        with Server() as server, server.client() as monitor, server.client() as client:
            monitor.ask("MONITOR")
            for words in (("NOSUCH", "x"), ("GET",), ("CONFIG", "GET", "save"), ("CLIENT", "LIST")):
                client.send(request(*words))
                client.reply()
            client.send(b"".join(request(*words) for words in (
                ("AUTH", "secret"), ("AUTH", "default", "secret"), ("AUTH", "default", "secret", "secret"),
                ("HELLO", "2", "AUTH", "default", "secret", "SETNAME", "me"),
                ("HELLO", "2", "SETNAME", "me", "auth", "default", "secret"),
                ("MULTI",), ("GET", "k"), ("EXEC",), ("MULTI",), ("GET",), ("EXEC",), ("ping",))))
            self.assertEqual([self.shown(monitor) for _ in range(11)], [
                b'"AUTH" "(redacted)"', b'"AUTH" "(redacted)" "(redacted)"',
                b'"AUTH" "(redacted)" "(redacted)" "(redacted)"',
                b'"HELLO" "2" "AUTH" "(redacted)" "(redacted)" "SETNAME" "me"',
                b'"HELLO" "2" "SETNAME" "me" "auth" "(redacted)" "(redacted)"',
                b'"MULTI"', b'"GET" "k"', b'"EXEC"', b'"MULTI"', b'"EXEC"', b'"ping"'])

    def test_monitoring_connection_may_talk_but_not_about_keys_until_reset(self):
        with Server() as server, server.client() as monitor, server.client() as client:
            monitor.ask("MONITOR")
            monitor.send(request("MONITOR") + request("GET", "k") + request("PING"))
            self.assertEqual(str(monitor.reply()), "ERR Replica can't interact with the keyspace")
            self.assertEqual(monitor.reply(), b"PONG")
            self.assertEqual(self.shown(monitor), b'"PING"')
            monitors = [number for number, of in clients_of(client).items() if of["flags"] == "O"]
            self.assertEqual(len(monitors), 1)
            number = monitors[0]
            self.assertEqual(clients_of(client, "ID", number)[number]["flags"], "O")
            self.assertEqual(monitor.ask("RESET"), b"RESET")
            client.ask("SET", "k", "v")
            self.assertEqual(monitor.ask("GET", "k"), b"v")
            self.assertEqual(clients_of(client)[number]["flags"], "N")

    def test_resp3_monitor_gets_the_same_lines_between_replies(self):
        with Server("--threads", "2") as server, server.client() as monitor, server.client() as client:
            monitor.send(request("HELLO", 3))
            while monitor.line() != b"*0":
                pass
            monitor.ask("MONITOR")
            client.send(b"".join(request("ECHO", i) for i in range(1000)))
            monitor.send(request("CONFIG", "SET", "timeout", "0") * 50)  # each waits for all loops
            seen, done = [], 0
            while len(seen) < 1000 or done < 50:
                line = monitor.line()
                if line == b"+OK":
                    done += 1
                else:
                    seen.append(LINE.fullmatch(line)[2])
            self.assertEqual(seen, [b'"ECHO" "%d"' % i for i in range(1000)])

    def test_monitor_that_does_not_read_is_closed_and_others_go_on(self):
        with Server("--max-reply-buffer", "1mb", "--threads", "2") as server, \
                server.client(receive_buffer=4096) as slow, server.client() as quick, server.client() as client:
            slow.ask("MONITOR")
            quick.ask("MONITOR")
            value = b"x" * 60000
            for _ in range(200):
                client.ask("SET", "k", value)
                self.assertTrue(self.shown(quick).startswith(b'"SET" "k" "xxx'))
            until(lambda: len(clients_of(client)) == 2)
            self.assertIn('reason="reply-limit"} 1',
                          page(server, b"/metrics").body.decode())


class Kill(unittest.TestCase):
    def killed(self, client):
        with self.assertRaises((EOFError, ConnectionResetError)):
            client.send(request("PING"))
            client.reply()

    def test_kill_closes_connections_of_every_loop_before_it_answers(self):
        with Server("--threads", "2") as server, server.client() as me:
            others = [server.client() for _ in range(6)]
            numbers = [other.ask("CLIENT", "ID") for other in others]
            self.assertEqual(me.ask("CLIENT", "KILL", "ID", numbers[0]), 1)
            self.assertNotIn(numbers[0], clients_of(me))
            self.killed(others[0])
            place = "%s:%d" % others[1].socket.getsockname()
            self.assertEqual(me.ask("CLIENT", "KILL", place), b"OK")
            self.killed(others[1])
            place = "%s:%d" % others[2].socket.getsockname()
            self.assertEqual(me.ask("CLIENT", "KILL", "ADDR", place, "ID", numbers[3]), 0)
            self.assertEqual(me.ask("CLIENT", "KILL", "ADDR", place, "TYPE", "normal", "USER", "default"), 1)
            self.killed(others[2])
            self.assertEqual(me.ask("CLIENT", "KILL", "LADDR", f"127.0.0.1:{server.port}"), 3)
            for other in others[3:]:
                self.killed(other)
            self.assertEqual(len(clients_of(me)), 1)

    def test_who_kills_itself_gets_the_reply(self):
        with Server("--threads", "2") as server:
            for words in (("SKIPME", "no"), ("ID", None, "SKIPME", "no")):
                with server.client() as me, server.client() as other:
                    number = me.ask("CLIENT", "ID")
                    other.ask("PING")
                    alone = None in words
                    words = [number if word is None else word for word in words]
                    me.send(request("CLIENT", "KILL", *words) + request("SET", "k", "never"))
                    self.assertEqual(me.rest(), b":1\r\n" if alone else b":2\r\n")
                    if alone:
                        self.assertIsNone(other.ask("GET", "k"))
                    else:
                        self.killed(other)
            with server.client() as me:
                me.send(request("MULTI") + request("CLIENT", "KILL", "%s:%d" % me.socket.getsockname()) +
                        request("PING") + request("EXEC") + request("PING"))
                self.assertEqual(me.rest(), b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n+PONG\r\n")

    def test_http_connections_and_held_ones_are_killed_too(self):
        with Server("--threads", "2") as server, server.client() as me, server.client() as held:
            number = held.ask("CLIENT", "ID")
            web = http_client.Client(server.http_port)
            web.send(http_client.get(b"/healthz"))
            web.reply()
            self.assertEqual({line["door"] for line in clients_of(me).values()}, {"resp", "http"})
            me.ask("CLIENT", "PAUSE", 1000000, "WRITE")
            held.send(request("SET", "k", "v"))
            until(lambda: info(me, "clients")["blocked_clients"] == "1")
            self.assertEqual(clients_of(me)[number]["flags"], "b")
            self.assertEqual(me.ask("CLIENT", "KILL", "TYPE", "normal"), 2)
            self.killed(held)
            self.assertEqual(info(me, "clients")["blocked_clients"], "0")
            me.ask("CLIENT", "UNPAUSE")
            self.assertIsNone(me.ask("GET", "k"))

    def test_list_of_ids_is_in_the_order_asked_for(self):
        with Server() as server, server.client() as one, server.client() as two:
            first, second = one.ask("CLIENT", "ID"), two.ask("CLIENT", "ID")
            text = one.ask("CLIENT", "LIST", "ID", second, first, 999, second).decode()
            self.assertEqual([int(found) for found in re.findall(r"(?m)^id=(\d+)", text)], [second, first, second])


class Pause(unittest.TestCase):
    def waiting(self, client, count):
        until(lambda: info(client, "clients")["blocked_clients"] == str(count))

    def test_writes_wait_and_reads_go_on(self):
        with Server("--threads", "2") as server, server.client() as boss:
            clients = [server.client() for _ in range(4)]
            self.assertEqual(boss.ask("CLIENT", "PAUSE", 1000000, "WRITE"), b"OK")
            for number, client in enumerate(clients):
                client.send(request("GET", "k") + request("INCR", "k") + request("GET", "k") + request("PING", number))
                self.assertIsNone(client.reply())
            self.waiting(boss, 4)
            self.assertIsNone(boss.ask("GET", "k"))
            self.assertEqual(boss.ask("CLIENT", "UNPAUSE"), b"OK")
            answers = []
            for number, client in enumerate(clients):
                answers.append(client.reply())
                client.reply()
                self.assertEqual(client.reply(), b"%d" % number)
            self.assertEqual(sorted(answers), [1, 2, 3, 4])
            self.waiting(boss, 0)

    def test_no_write_happens_between_the_answers_of_pause_and_unpause(self):
        with Server("--threads", "2") as server, server.client() as boss:
            stop = threading.Event()
            writers = [threading.Thread(target=self.write, args=(server, stop)) for _ in range(4)]
            for writer in writers:
                writer.start()
            try:
                for _ in range(20):
                    before = int(boss.ask("GET", "k") or 0)
                    until(lambda least=before: int(boss.ask("GET", "k") or 0) > least)
                    boss.ask("CLIENT", "PAUSE", 1000000, "WRITE")
                    held = boss.ask("GET", "k")
                    for _ in range(50):
                        self.assertEqual(boss.ask("GET", "k"), held)
                    boss.ask("CLIENT", "UNPAUSE")
            finally:
                stop.set()
                boss.ask("CLIENT", "UNPAUSE")
                for writer in writers:
                    writer.join()

    @staticmethod
    def write(server, stop):
        with server.client() as client:
            while not stop.is_set():
                client.send(request("INCR", "k") * 500)
                for _ in range(500):
                    client.reply()

    def test_batch_over_http_stops_in_the_middle_and_goes_on(self):
        count = 200000
        body = b"".join(b'["SET","key:%d","v"]\n' % i for i in range(count))
        with Server("--threads", "2") as server, server.client() as boss, \
                http_client.Client(server.http_port) as web:
            web.send(http_client.put(b"/batch", body, method=b"POST"))
            until(lambda: boss.ask("DBSIZE") > 0)
            boss.ask("CLIENT", "PAUSE", 1000000, "WRITE")
            held = boss.ask("DBSIZE")
            for _ in range(50):
                self.assertEqual(boss.ask("DBSIZE"), held)
            self.assertLess(held, count)
            boss.ask("CLIENT", "UNPAUSE")
            self.assertEqual(web.reply().body, b'{"result":"OK"}\n' * count)
            web.send(http_client.put(b"/batch", b'["CONFIG","SET","timeout","0"]\n["GET","key:0"]', method=b"POST"))
            self.assertEqual(web.reply().body, b'{"result":"OK"}\n{"result":"v"}\n')

    def test_pause_of_all_ends_by_itself(self):
        with Server("--threads", "2") as server, server.client() as boss, server.client() as other:
            begin = time.monotonic()
            self.assertEqual(boss.ask("CLIENT", "PAUSE", 300), b"OK")
            other.send(request("GET", "k"))
            boss.send(request("PING"))
            self.assertEqual(boss.reply(), b"PONG")
            self.assertGreaterEqual(time.monotonic() - begin, 0.29)
            self.assertIsNone(other.reply())
            self.assertEqual(boss.ask("SET", "k", "v"), b"OK")

    def test_longer_and_stricter_pause_stays_and_unpause_is_let_through(self):
        with Server() as server, server.client() as boss, server.client() as other:
            boss.send(request("CLIENT", "PAUSE", 1000000, "WRITE") + request("CLIENT", "PAUSE", 1000000, "ALL"))
            self.assertEqual([boss.reply(), boss.reply()], [b"OK", b"OK"])
            other.send(request("GET", "k"))
            self.assertEqual(boss.ask("CLIENT", "UNPAUSE"), b"OK")
            self.assertIsNone(other.reply())
            boss.ask("CLIENT", "PAUSE", 1000000, "WRITE")
            boss.ask("CLIENT", "PAUSE", 1, "WRITE")
            other.send(request("SET", "k", "v"))
            self.waiting(boss, 1)
            boss.ask("CLIENT", "UNPAUSE")
            self.assertEqual(other.reply(), b"OK")

    def test_transaction_with_writes_waits_at_exec(self):
        with Server() as server, server.client() as boss, server.client() as writer, server.client() as reader:
            for client, words in ((writer, ("SET", "k", "v")), (reader, ("GET", "k"))):
                client.ask("MULTI")
                self.assertEqual(client.ask(*words), b"QUEUED")
            boss.ask("CLIENT", "PAUSE", 1000000, "WRITE")
            writer.send(request("EXEC"))
            self.waiting(boss, 1)
            self.assertEqual(reader.ask("EXEC"), [None])
            reader.send(request("NOSUCH") + request("SET", "k"))  # refused, not held
            self.assertIsInstance(reader.reply(), ReplyError)
            self.assertIsInstance(reader.reply(), ReplyError)
            boss.ask("CLIENT", "UNPAUSE")
            self.assertEqual(writer.reply(), [b"OK"])

    def test_half_closed_client_and_large_value_are_answered_after_the_pause(self):
        with Server("--threads", "2") as server, server.client() as boss, server.client() as other:
            boss.ask("CLIENT", "PAUSE", 1000000, "WRITE")
            other.send(request("SET", "k", b"v" * 3000000) + request("STRLEN", "k"))
            other.end()
            self.waiting(boss, 1)
            boss.ask("CLIENT", "UNPAUSE")
            self.assertEqual(other.rest(), b"+OK\r\n:3000000\r\n")

    def test_stop_answers_what_a_pause_holds(self):
        with Server("--threads", "2") as server, server.client() as boss:
            clients = [server.client() for _ in range(4)]
            boss.ask("CLIENT", "PAUSE", 1000000, "WRITE")
            for client in clients:
                client.send(request("INCR", "k") + request("PING"))
            self.waiting(boss, 4)
            server.signal(signal.SIGTERM)
            answers = [client.rest() for client in clients]
            self.assertEqual(sorted(answers), [b":%d\r\n+PONG\r\n" % i for i in range(1, 5)])
            self.assertEqual(server.wait(), 0)

    def test_http_writes_wait_and_its_reads_and_pages_do_not(self):
        with Server("--threads", "2") as server, server.client() as boss, server.client() as raw:
            boss.ask("SET", "k", "old")
            put = b"PUT /kv/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nnew"
            writers = [http_client.Client(server.http_port) for _ in range(3)]
            writers[0].send(put[:-1])  # its head and most of its body have come already
            writers[2].send(put[:20])
            page(server, b"/healthz")
            boss.ask("CLIENT", "PAUSE", 1000000, "WRITE")
            writers[0].send(put[-1:])
            writers[1].send(put)
            writers[2].send(put[20:])
            self.waiting(boss, 3)
            self.assertEqual(page(server, b"/kv/k").body, b"old")
            boss.ask("CLIENT", "PAUSE", 1000000, "ALL")
            self.assertEqual(page(server, b"/healthz").status, 200)
            raw.send(request("CLIENT", "UNPAUSE"))
            self.assertEqual(raw.reply(), b"OK")
            for writer in writers:
                self.assertEqual(writer.line(), b"HTTP/1.1 204 No Content")
            self.assertEqual(boss.ask("GET", "k"), b"new")

    def test_waiting_costs_no_processor_time(self):
        with Server("--threads", "2") as server, server.client() as boss, server.client() as other:
            boss.ask("CLIENT", "PAUSE", 1000000, "WRITE")
            other.send(request("SET", "k", "v"))
            self.waiting(boss, 1)
            before = self.cpu(server)
            self.assertEqual(boss.ask("CLIENT", "PAUSE", 500, "ALL"), b"OK")
            boss.send(request("CLIENT", "UNPAUSE"))
            self.assertEqual(boss.reply(), b"OK")
            boss.ask("CLIENT", "PAUSE", 500, "WRITE")
            self.assertEqual(other.reply(), b"OK")
            boss.send(request("SET", "k", "v"))
            self.assertEqual(boss.reply(), b"OK")  # some half second later
            self.assertLess(self.cpu(server) - before, 0.2)

    @staticmethod
    def cpu(server):
        with open(f"/proc/{server.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Reply(unittest.TestCase):
    def test_off_and_skip_leave_replies_out_also_errors_and_long_ones(self):
        with Server() as server, server.client() as client:
            client.send(b"".join(request(*words) for words in (
                ("CLIENT", "REPLY", "OFF"), ("SET", "k", "v"), ("NOSUCH",), ("KEYS", "*"), ("MULTI",), ("GET", "k"),
                ("KEYS", "*"), ("EXEC",), ("CLIENT", "REPLY", "SKIP"), ("CLIENT", "REPLY", "ON"),
                ("CLIENT", "REPLY", "SKIP"), ("KEYS", "*"), ("GET", "k"),
                ("CLIENT", "REPLY", "SKIP"), ("CLIENT", "REPLY", "ON"),
                ("CLIENT", "REPLY", "OFF"), ("PING",), ("RESET",), ("PING",),
                ("CLIENT", "REPLY", "SKIP"), ("RESET",), ("PING", "skipped RESET"),
                ("MULTI",), ("CLIENT", "REPLY", "OFF"), ("EXEC",))))
            client.end()
            self.assertEqual(client.rest(), b"+OK\r\n$1\r\nv\r\n+OK\r\n+RESET\r\n+PONG\r\n"
                             b"$13\r\nskipped RESET\r\n+OK\r\n"
                             b"-ERR Command not allowed inside a transaction\r\n"
                             b"-EXECABORT Transaction discarded because of previous errors.\r\n")

    def test_what_is_not_sent_is_not_kept(self):
        with Server("--max-reply-buffer", "64kb") as server, server.client() as client:
            client.ask("SET", "k", b"v" * 60000)
            client.send(request("CLIENT", "REPLY", "OFF") + request("GET", "k") * 1000 +
                        request("CLIENT", "REPLY", "ON"))
            self.assertEqual(client.reply(), b"OK")

    def test_off_keeps_monitor_lines_back(self):
        with Server() as server, server.client() as monitor, server.client() as client:
            monitor.ask("MONITOR")
            monitor.send(request("CLIENT", "REPLY", "OFF"))
            until(lambda: "cmdstat_client|reply" in info(client, "commandstats"))
            client.ask("PING", "unseen")
            monitor.send(request("CLIENT", "REPLY", "ON"))
            self.assertEqual(monitor.reply(), b"OK")
            self.assertTrue(monitor.line().endswith(b'"CLIENT" "REPLY" "ON"'))


class Config(unittest.TestCase):
    def test_rewrite_refuses_what_is_no_file(self):
        with tempfile.TemporaryDirectory(prefix="strobe-") as place:
            path = os.path.join(place, "pipe")
            os.mkfifo(path)
            writer = threading.Thread(target=lambda: open(path, "w", encoding="ascii").close())
            writer.start()
            with Server("--config", path) as server, server.client() as client:
                writer.join()
                client.send(request("CONFIG", "REWRITE"))
                self.assertEqual(str(client.reply()), "ERR Rewriting config file: Invalid argument")

    def test_a_configuration_is_forgotten_when_all_loops_have_another(self):
        with Server("--threads", "2") as server, server.client() as client:
            sets = [request("CONFIG", "SET", "allow-host", f"{i}{'x' * 3900}") for i in (1, 2)] * 100
            memory = [0]
            for _ in range(20):
                client.send(b"".join(sets))
                for _ in sets:
                    self.assertEqual(client.reply(), b"OK")
                words = client.ask("MEMORY", "STATS")
                stats = dict(zip(words[::2], words[1::2]))
                if stats[b"allocator.resident"] == stats[b"allocator.active"]:
                    continue  # libc's malloc, of a sanitizer: it keeps what it likes
                memory.append(stats[b"total.allocated"])
            self.assertLess(memory[-1] - memory[:2][-1], 4 << 20)  # all of them were 15 MiB

    FILE = ("# my own settings\r\n\n  max-clients=200 \t\nport = auto\nhttp-port = auto\nmax-buffers = 25%\n"
            "max-reply-buffer = auto\n#max-value = 1mb\nidle-timeout =  5s")

    def test_what_is_set_holds_on_every_loop_when_it_is_answered(self):
        with Server("--threads", "2") as server, server.client() as boss:
            clients = [server.client() for _ in range(4)]
            for size in (1000, 100, 1000, 100):
                self.assertEqual(boss.ask("CONFIG", "SET", "max-value", size), b"OK")
                for client in clients:
                    client.send(request("SET", "k", b"v" * size))
                    self.assertEqual(client.reply(), b"OK")
            clients[0].send(request("SET", "k", b"v" * 101))
            self.assertIsInstance(clients[0].reply(), ReplyError)
            self.assertEqual(boss.ask("CONFIG", "GET", "max-reply-buffer")[1], b"%d" % (100 + (1 << 20)))
            boss.ask("CONFIG", "SET", "log-level", "debug", "maxclients", 5)
            server.wait_log(r"config changed max-clients from=10000 to=5$")
            server.wait_log(r" debug ")
            with server.client() as sixth:
                self.assertEqual(sixth.rest(), b"-ERR max number of clients reached\r\n")

    def test_minus_one_switches_the_slow_log_off_as_in_redis(self):
        with Server("--slowlog-threshold", "0") as server, server.client() as client:
            client.ask("PING")
            self.assertGreater(client.ask("SLOWLOG", "LEN"), 0)
            self.assertEqual(client.ask("CONFIG", "SET", "slowlog-log-slower-than", "-1"), b"OK")
            self.assertEqual(client.ask("CONFIG", "GET", "slowlog-log-slower-than")[1], b"-1")
            self.assertEqual(client.ask("CONFIG", "GET", "slowlog-threshold"), [b"slowlog-threshold", b"31536000s"])
            client.ask("SLOWLOG", "RESET")
            client.ask("PING")
            self.assertEqual(client.ask("SLOWLOG", "LEN"), 0)
            client.send(request("CONFIG", "SET", "slowlog-log-slower-than", "-2"))
            self.assertIn("argument must be between -1 and ", str(client.reply()))
            self.assertEqual(client.ask("CONFIG", "SET", "slowlog-log-slower-than", "20000"), b"OK")
            self.assertEqual(client.ask("CONFIG", "GET", "slowlog-log-slower-than")[1], b"20000")

    def test_client_info_and_list_show_the_command_that_runs(self):
        with Server("--threads", "2") as server, server.client() as client, server.client() as other:
            other.ask("GET", "k")
            for words in (("CLIENT", "INFO"), ("CLIENT", "LIST"), ("CLIENT", "LIST", "ID", client.ask("CLIENT", "ID"))):
                client.ask("GET", "k")
                shown = re.findall(rb" cmd=(\S+) ", client.ask(*words))
                self.assertIn("|".join(words[:2]).lower().encode(), shown)
                self.assertEqual(shown.count(b"get"), 1 if words == ("CLIENT", "LIST") else 0)
            client.ask("MULTI")
            client.ask("CLIENT", "INFO")
            self.assertIn(b" cmd=exec ", client.ask("EXEC")[0])

    def test_rewrite_changes_what_differs_and_keeps_the_rest(self):
        with tempfile.TemporaryDirectory(prefix="strobe-") as place:
            path = os.path.join(place, "strobe.conf")
            with open(path, "w", encoding="ascii", newline="") as file:
                file.write(self.FILE)
            os.chmod(path, 0o640)
            with Server("--config", path, "--request-timeout", "7s") as server, server.client() as client:
                self.assertEqual(client.ask("CONFIG", "REWRITE"), b"OK")
                kept = self.FILE + "\n# Generated by CONFIG REWRITE\nrequest-timeout = 7s\n"
                self.assertEqual(self.text(path), kept)
                client.ask("CONFIG", "SET", "timeout", 10, "max-clients", 300, "max-value", "1mb")
                self.assertEqual(client.ask("CONFIG", "REWRITE"), b"OK")
                kept = kept.replace("max-clients=200 \t", "max-clients=300 \t").replace("=  5s", "=  10s")
                self.assertEqual(self.text(path), kept + "max-value = 1mb\n")
                self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o640)
                self.assertEqual(os.listdir(place), ["strobe.conf"])
                server.signal(signal.SIGHUP)
                server.wait_log(r"server reloaded")
                self.assertEqual(client.ask("CONFIG", "GET", "max-clients")[1], b"300")
                os.rename(path, path + ".old")
                client.send(request("CONFIG", "REWRITE"))
                self.assertEqual(str(client.reply()), "ERR Rewriting config file: No such file or directory")
                self.assertEqual(os.listdir(place), ["strobe.conf.old"])

    @staticmethod
    def text(path):
        with open(path, encoding="ascii", newline="") as file:
            return file.read()

    def test_resetstat_begins_the_counters_of_info_anew_and_leaves_metrics(self):
        with Server() as server, server.client() as client:
            for _ in range(10):
                client.ask("GET", "none")
            self.assertEqual(info(client, "stats")["keyspace_misses"], "10")
            self.assertEqual(client.ask("CONFIG", "RESETSTAT"), b"OK")
            stats = info(client, "stats")
            self.assertEqual((stats["keyspace_misses"], stats["total_connections_received"]), ("0", "0"))
            self.assertLess(int(stats["total_commands_processed"]), 5)
            self.assertNotIn("cmdstat_get", info(client, "commandstats"))
            self.assertEqual(info(client, "clients")["connected_clients"], "1")
            self.assertIn('strobe_keyspace_reads_total{result="miss"} 10',
                          page(server, b"/metrics").body.decode())


class Shutdown(unittest.TestCase):
    def test_shutdown_stops_in_order_and_says_nothing(self):
        for words in ((), ("NOSAVE",), ("NOW", "NOSAVE", "FORCE"), ("SAVE", "FORCE")):
            with Server("--threads", "2") as server, server.client() as other, server.client() as client:
                other.send(request("SET", "k", "v"))
                self.assertEqual(other.reply(), b"OK")
                client.send(request("PING") + request("SHUTDOWN", *words) + request("SHUTDOWN"))
                self.assertEqual(client.rest(), b"+PONG\r\n")
                self.assertEqual(other.rest(), b"")
                self.assertEqual(server.wait(), 0)
                self.assertRegex(server.log(), r"server SHUTDOWN peer=127.0.0.1:\d+\n(.*\n)*.*server stopped")


if __name__ == "__main__":
    unittest.main()
