# SPDX-License-Identifier: Apache-2.0
"""Claims: memccapable's ascii tests pass, and memcslap runs, on every stack; after all is flushed the figures are those of the
start; /metrics is valid and its sums are right; garbage, endless lines and values, clients that are half open, slow, idle or
too many harm nobody else; thousands of connections come and go; the budget holds and evictions are counted; refusals of
memory are answers; SIGTERM amid load leaves whole answers and nothing live."""

import concurrent.futures
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

from examples.cache_server import driver
from tests.support import prometheus_text

SERVER = sys.argv.pop(1)


def tool(name):
    found = driver.find_program(name)
    if found is None:
        raise RuntimeError("%s is missing: apt-get install libmemcached-tools" % name)
    return found


def start(*flags):
    return driver.Server(SERVER, "--threads=2", *flags)


def row(report, resource, layer):
    return next(r for r in report[resource]["layers"] if r["layer"] == layer)


class RealClients(unittest.TestCase):
    def test_every_stack_serves_them_and_is_as_before_when_all_is_gone(self):
        stacks = driver.names_of_stacks(SERVER)
        self.assertGreaterEqual(len(stacks), 11)
        # At once: memccapable waits most of its time.
        with concurrent.futures.ThreadPoolExecutor(len(stacks)) as pool:
            runs = {stack: pool.submit(self.serve, stack) for stack in stacks}
        for stack, run in runs.items():
            with self.subTest(stack):
                run.result()

    def serve(self, stack):
        with start("--stack=" + stack) as server:
            before = self.figures(server)
            self.memccapable(server)
            self.memcslap(server)
            with server.client() as client:
                self.assertEqual(client.ask(b"flush_all"), b"OK")
                self.assertEqual(client.stats()["curr_items"], "0")
            # The server hears of a client's end after the client, of that of the last question, too: asked until it is so.
            patience = time.monotonic() + driver.PATIENCE
            while (after := self.figures(server)) != before and time.monotonic() < patience:
                pass
            self.assertEqual(after, before)
            self.assertEqual(after["items", "live"], 0)

    @staticmethod
    def figures(server):
        report = server.report()
        return {
            (resource, figure): report[resource]["layers"][-1][figure]
            for resource in ("items", "buffers")
            for figure in ("live", "live_blocks", "handed_out")
        }

    def memccapable(self, server):
        done = subprocess.run(
            [tool("memccapable"), "-a", "-h", "127.0.0.1", "-p", str(server.port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=driver.PATIENCE,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertEqual(len(re.findall(r"^ascii .*\[pass\]$", done.stdout, re.M)), 27, done.stdout)
        self.assertIn("All tests passed", done.stdout)

    def memcslap(self, server):
        for what in ("set", "get"):
            subprocess.run(
                [tool("memcslap"), "-q", "-s", "127.0.0.1:%d" % server.port, "-c", "2", "-e", "200", "-t", what],
                stdout=subprocess.DEVNULL,
                timeout=driver.PATIENCE,
                check=True,
            )
        with server.client() as client:
            stats = client.stats()
            self.assertGreaterEqual(int(stats["cmd_set"]), 400)
            self.assertGreaterEqual(int(stats["get_hits"]), 400)


class Figures(unittest.TestCase):
    def test_metrics_are_valid_and_add_up(self):
        with start("--stack=slabs") as server, server.client() as client:
            for i in range(200):
                self.assertEqual(client.set(b"key%d" % i, bytes(i * 37)), b"STORED")
            samples = prometheus_text.parse(server.metrics())
            report = server.report()
            for resource in ("items", "buffers"):
                parts = sum(
                    value
                    for (name, labels), value in samples.items()
                    if dict(labels).get("resource") == resource
                    and name in ("strata_layer_%s_bytes" % part for part in ("handed_out", "kept", "overhead"))
                )
                self.assertEqual(parts, prometheus_text.value(samples, "strata_mapped_bytes", resource=resource))
                self.assertGreater(prometheus_text.value(samples, "strata_resident_bytes", resource=resource), 0)
            self.assertEqual(prometheus_text.value(samples, "cache_server_curr_items"), 200)
            self.assertEqual(
                prometheus_text.value(samples, "strata_requested_bytes", resource="items"),
                prometheus_text.value(samples, "cache_server_bytes"),
            )
            self.assertEqual(client.stats(b"strata")["items:2:slabs:live"], str(row(report, "items", "slabs")["live"]))
            self.assertEqual(client.stats(b"settings")["stack"], "slabs")
            self.assertEqual(server.http("/healthz"), b"ok\n")

    def test_the_budget_holds_and_evictions_are_counted(self):
        with start("--memory_mb=1", "--stack=heap") as server, server.client() as client:
            for i in range(3000):
                self.assertEqual(client.set(b"key%d" % i, b"v" * 1000), b"STORED")
            stats = client.stats()
            self.assertGreater(int(stats["evictions"]), 1500)
            self.assertLessEqual(int(stats["bytes"]), 1 << 20)
            self.assertEqual(client.get(b"key2999", b"key0").keys(), {b"key2999"})

    def test_a_machine_without_memory_makes_room_too(self):
        for stack in ("slabs", "heap", "guards"):
            with start("--memory_mb=64", "--machine_mb=8", "--stack=" + stack) as server, server.client() as client:
                answers = [client.set(b"key%d" % i, b"v" * (10 + 37 * i % 9000)) for i in range(3000)]
                self.assertGreater(answers.count(b"STORED"), 2900, stack)
                self.assertLessEqual(set(answers), {b"STORED", b"SERVER_ERROR out of memory storing object"})
                self.assertLessEqual(row(server.report(), "items", "machine")["live"], 8 << 20)
                self.assertGreater(int(client.stats()["evictions"]), 100)

    def test_refusals_are_answers(self):
        with start("--refuse_one_in=3") as server, server.client() as client:
            # With nothing to evict a refusal is final; later another one makes room, and that is enough.
            answers = [client.set(b"key%d" % i, b"value") for i in range(300)]
            self.assertLessEqual(set(answers), {b"STORED", b"SERVER_ERROR out of memory storing object"})
            self.assertGreater(answers.count(b"STORED"), 200)
            self.assertGreater(row(server.report(), "items", "refusing")["failures"], 50)


class RudeClients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = start("--connections=3000")

    @classmethod
    def tearDownClass(cls):
        cls.server.end()

    def setUp(self):
        self.others = self.server.client()
        self.assertEqual(self.others.set(b"witness", b"unharmed"), b"STORED")

    def tearDown(self):
        self.assertEqual(self.others.get(b"witness"), {b"witness": b"unharmed"})
        self.others.close()

    def test_garbage(self):
        seed = 9
        chance = random.Random(seed)
        words = [b"get", b"set", b"a 0 0 5", b"\r\n", b"\n", b"\0", b"\xff", b" ", b"noreply", b"cas", b"-1", b"99999999999"]
        for round_number in range(60):
            data = b"".join(chance.choice([chance.choice(words), chance.randbytes(3)]) for _ in range(chance.randrange(400)))
            with self.server.client() as client:
                client.send(data.replace(b"flush_all", b""))
                client.socket.shutdown(socket.SHUT_WR)
                try:
                    client.input.read()  # whatever the answers are, they end
                except ConnectionResetError:
                    pass
            with self.subTest(seed=seed, round=round_number):
                self.assertIsNone(self.server.process.poll())

    def test_lines_without_end(self):
        with self.server.client() as client:
            client.send(b"x" * 5000)
            self.assertEqual(client.line(), b"CLIENT_ERROR line too long")
            self.assertTrue(client.is_closed())

    def test_values_too_large_and_values_without_end(self):
        with self.server.client() as client:
            size = (1 << 20) + 1
            self.assertEqual(client.set(b"k", b"v" * size), b"SERVER_ERROR object too large for cache")
            self.assertEqual(client.set(b"k", b"v" * (size - 1)), b"STORED")
            self.assertEqual(len(client.get(b"k")[b"k"]), size - 1)
            self.assertEqual(client.ask(b"delete k"), b"DELETED")
        live = self.server.live_items()
        with self.server.client() as client:
            client.send(b"set k 0 0 1000000\r\n" + b"v" * 500000)
        # The half that came is given up as soon as the server hears of the end.
        while self.server.live_items() != live:
            pass

    def test_half_open_clients_hear_everything(self):
        with self.server.client() as client:
            client.send(b"set half 0 0 4\r\nopen\r\nget half\r\n")
            client.socket.shutdown(socket.SHUT_WR)
            self.assertEqual(client.input.read(), b"STORED\r\nVALUE half 0 4\r\nopen\r\nEND\r\n")

    def test_pipelining(self):
        count = 20000
        with self.server.client() as client:
            sender = threading.Thread(
                target=client.send, args=(b"".join(b"set p%d 0 0 3\r\nabc\r\nget p%d\r\n" % (i, i) for i in range(count)),)
            )
            sender.start()
            for i in range(count):
                self.assertEqual(client.line(), b"STORED")
                self.assertEqual(client.answers(), {b"p%d" % i: b"abc"})
            sender.join()

    def test_slow_readers_cost_a_bounded_amount(self):
        self.assertEqual(self.others.set(b"large", b"v" * 1000000), b"STORED")
        request = b"get" + b" large" * 300 + b"\r\n"
        with self.server.client() as client:
            client.send(request)
            self.assertEqual(client.line().split()[0], b"VALUE")  # it has begun
            self.assertLess(self.server.report()["buffers"]["totals"]["requested"], 16 << 20)
            heard = 0
            while heard < 100000000:
                heard += len(client.input.read(1000000))

    def test_thousands_of_connections_come_and_go(self):
        driver.allow_descriptors(4096)
        for _ in range(3):
            clients = [self.server.client() for _ in range(800)]
            for i, client in enumerate(clients):
                client.send(b"set c%d 0 0 1\r\nx\r\n" % i)
            for client in clients:
                self.assertEqual(client.line(), b"STORED")
            for i, client in enumerate(clients):
                if i % 2 == 0:  # half of them without manners
                    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                client.close()
        self.assertGreater(int(self.others.stats()["total_connections"]), 2400)


class Limits(unittest.TestCase):
    def test_too_many_connections_are_told_so(self):
        with start("--connections=5") as server:
            clients = [server.client() for _ in range(5)]
            for client in clients:
                self.assertEqual(client.ask(b"version").split()[0], b"VERSION")
            with server.client() as one_more:
                self.assertEqual(one_more.line(), b"ERROR Too many open connections")
                self.assertTrue(one_more.is_closed())
            clients[0].send(b"quit\r\n")
            self.assertTrue(clients[0].is_closed())
            self.assertEqual(clients[1].stats()["rejected_connections"], "1")
            for client in clients:
                client.close()

    def test_idle_clients_are_closed(self):
        with start("--idle_seconds=1") as server:
            with server.client() as silent, server.client() as halfway:
                halfway.send(b"set k 0 0 1000\r\nhalf")
                self.assertTrue(silent.is_closed())
                self.assertTrue(halfway.is_closed())
            with server.client() as client:
                self.assertGreaterEqual(int(client.stats()["idle_kicks"]), 2)
            self.assertEqual(server.live_items(), 0)


class Ends(unittest.TestCase):
    def test_sigterm_amid_load_leaves_whole_answers(self):
        for stack, sent in (("slabs", signal.SIGTERM), ("mempool", signal.SIGINT), ("debug", signal.SIGTERM)):
            server = start("--stack=" + stack)
            going, faults = threading.Barrier(5), []
            workers = [threading.Thread(target=self.load, args=(server, i, going, faults)) for i in range(4)]
            for worker in workers:
                worker.start()
            going.wait(driver.PATIENCE)
            with self.subTest(stack):
                server.end(sent)
            for worker in workers:
                worker.join(driver.PATIENCE)
            self.assertEqual(faults, [], stack)

    @staticmethod
    def load(server, number, going, faults):
        client = server.client()
        stored = 0
        try:
            while True:
                key = b"%d:%d" % (number, stored)
                if client.set(key, key * 50) != b"STORED" or client.get(key) != {key: key * 50}:
                    faults.append(key)
                stored += 1
                if stored == 50:
                    going.wait(driver.PATIENCE)
        except (EOFError, ConnectionResetError, BrokenPipeError) as error:
            # An end is well between two answers, and not within one.
            if isinstance(error, EOFError) and "after b''" not in str(error):
                faults.append(error)
        finally:
            client.close()

    def test_who_does_not_read_does_not_keep_it_from_ending(self):
        server = start("--drain_seconds=1")
        with server.client() as client:
            self.assertEqual(client.set(b"large", b"v" * 1000000), b"STORED")
            client.send(b"get" + b" large" * 500 + b"\r\n")
            self.assertEqual(client.line().split()[0], b"VALUE")
            server.end()

    def test_ports_that_are_taken_are_an_error(self):
        with start() as server:
            done = subprocess.run(
                [SERVER, "--port=%d" % server.port], stderr=subprocess.PIPE, text=True, timeout=driver.PATIENCE, check=False
            )
            self.assertEqual(done.returncode, 1)
            self.assertIn("cache_server: 127.0.0.1:%d" % server.port, done.stderr)


if __name__ == "__main__":
    os.environ.setdefault("ASAN_OPTIONS", "detect_leaks=1")
    unittest.main()
