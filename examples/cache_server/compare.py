# SPDX-License-Identifier: Apache-2.0
"""compare.py PROGRAM [flags]: the cache server beside Debian's memcached. --help has the flags.

One run, one load, turn by turn: each server is filled with items of one size until a third of its budget is used, then reads
and writes (nine to one) come from connections that each have some requests on the way. What is compared is requests a
second, the server's processor time a request, and resident memory by items, the program
itself included. Three rounds in turn; medians. Where load and server share few processors the second says more than the first.
"""

import argparse
import multiprocessing
import socket
import statistics
import subprocess
import time

from examples.cache_server import driver

CONNECTIONS, ROUNDS = 4, 3
KEY = b"key:%09d"


class Memcached:
    def __init__(self, program, options):
        with socket.socket() as probe:  # it does not tell a port it has chosen
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        flags = ["-U", "0", "-l", "127.0.0.1", "-t", str(options.threads), "-m", str(options.budget), "-u", "nobody"]
        self.process = subprocess.Popen([program, "-p", str(self.port), *flags])
        for _ in range(1000):
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return
            except ConnectionRefusedError:
                time.sleep(0.01)
        raise RuntimeError("memcached does not start")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.terminate()
        self.process.wait()

    def client(self):
        return driver.Client(self.port)

    resident = driver.Server.resident
    cpu_seconds = driver.Server.cpu_seconds


def fill(server, count, value):
    with server.client() as client:
        for start in range(0, count, 500):
            keys = [KEY % i for i in range(start, min(start + 500, count))]
            client.send(b"".join(b"set %s 0 0 %d noreply\r\n%s\r\n" % (key, len(value), value) for key in keys) + b"version\r\n")
            client.line()
        return int(client.stats()["curr_items"])


def ask(port, count, value, options, answers):
    """A process with one connection: batches of requests made before, so that little of the time is the load's own."""
    with driver.Client(port) as client:
        many = options.on_the_way
        batches = []
        for b in range(64):
            keys = [KEY % ((n * 104729) % count) for n in range(b * many, (b + 1) * many)]
            request, expected = b"", 0
            for i, key in enumerate(keys, b * many):
                if i % 10 == 9:
                    request += b"set %s 0 0 %d\r\n%s\r\n" % (key, len(value), value)
                    expected += len(b"STORED\r\n")
                else:
                    request += b"get %s\r\n" % key
                    expected += len(b"VALUE %s 0 %d\r\n\r\nEND\r\n" % (key, len(value))) + len(value)
            batches.append((request, expected))
        done, begun = 0, time.monotonic()
        while time.monotonic() < begun + options.seconds:
            request, expected = batches[done % len(batches)]
            client.send(request)
            if len(client.input.read(expected)) != expected:
                raise EOFError("half an answer")
            done += 1
        answers.put((done * many / (time.monotonic() - begun), done * many))


def measure(make, options):
    """(requests a second, microseconds of processor a request, resident bytes an item)"""
    value = b"v" * options.value
    with make() as server:
        count = options.budget * (1 << 20) // 3 // (options.value + 80)
        count = fill(server, count, value)
        an_item = server.resident() / count
        answers = multiprocessing.Queue()
        clients = [
            multiprocessing.Process(target=ask, args=(server.port, count, value, options, answers)) for _ in range(CONNECTIONS)
        ]
        cpu = server.cpu_seconds()
        for client in clients:
            client.start()
        told = [answers.get(timeout=options.seconds + driver.PATIENCE) for _ in clients]
        cpu = server.cpu_seconds() - cpu
        rate = sum(r for r, _ in told)
        for client in clients:
            client.join()
        return rate, cpu * 1e6 / sum(requests for _, requests in told), an_item


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--seconds", type=float, default=1.0, help="of load, each server and round")
    parser.add_argument("--value", type=int, default=100, help="bytes of a value")
    parser.add_argument("--threads", type=int, default=2, help="of each server")
    parser.add_argument("--budget", type=int, default=96, help="MiB for items")
    parser.add_argument("--on_the_way", type=int, default=1, help="requests of a connection")
    parser.add_argument("--stacks", default="", help="only these, separated by commas")
    options = parser.parse_args()
    memcached = driver.find_program("memcached")
    if memcached is None:
        raise SystemExit("memcached is missing: apt-get install memcached")

    flags = ["--threads=%d" % options.threads, "--memory_mb=%d" % options.budget]
    servers = {"memcached": lambda: Memcached(memcached, options)}
    for stack in options.stacks.split(",") if options.stacks else driver.names_of_stacks(options.program):
        servers[stack] = lambda stack=stack: driver.Server(options.program, "--stack=" + stack, *flags)
    figures = {name: [] for name in servers}
    for _ in range(ROUNDS):
        for name, make in servers.items():
            figures[name].append(measure(make, options))

    print(
        "values of %d bytes, keys of %d; %d threads, %d connections with %d of their requests on the way, nine reads to a write; medians of %d"
        % (options.value, len(KEY % 0), options.threads, CONNECTIONS, options.on_the_way, ROUNDS)
    )
    print("%-18s %12s %6s %12s %6s %14s %6s" % ("server", "requests/s", "ratio", "CPU us each", "ratio", "bytes an item", "ratio"))
    medians = {name: [statistics.median(column) for column in zip(*rows)] for name, rows in figures.items()}
    for name, mine in medians.items():
        ratios = [own / base for own, base in zip(mine, medians["memcached"])]
        print("%-18s %12.0f %6.2f %12.2f %6.2f %14.1f %6.2f" % (name, mine[0], ratios[0], mine[1], ratios[1], mine[2], ratios[2]))


if __name__ == "__main__":
    main()
