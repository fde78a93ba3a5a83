# SPDX-License-Identifier: Apache-2.0
"""A client's load, checked: every value says whose it is, and what comes back is compared with that."""

import random
import socket
import struct
import threading

from examples.cache_server import driver

ALLOWED = (
    b"STORED",
    b"NOT_STORED",
    b"EXISTS",
    b"NOT_FOUND",
    b"DELETED",
    b"TOUCHED",
    b"OK",
    b"SERVER_ERROR out of memory storing object",
    b"SERVER_ERROR out of memory in incr",
    b"SERVER_ERROR object too large for cache",
)


def value_for(key, size, salt):
    """A value of about `size` bytes that tells whether it is whole and of this key."""
    head = b"%s|%d|" % (key, salt)
    return head + bytes([65 + salt % 26]) * max(size - len(head), 0) + b"|"


def is_value_for(key, value):
    parts = value.split(b"|")
    return len(parts) == 4 and parts[0] == key and parts[3] == b"" and parts[2] == parts[2][:1] * len(parts[2])


class Load(threading.Thread):
    """Mixed requests until told to stop. `rude` is how many connections in a hundred requests it breaks off."""

    def __init__(self, port, seed, keys=2000, rude=0.0, largest=200000):
        super().__init__(daemon=True)
        self.port, self.chance, self.keys, self.rude, self.largest = port, random.Random(seed), keys, rude, largest
        self.stop_now = threading.Event()
        self.requests = self.broken_off = self.refused = 0
        self.faults = []

    def stop(self):
        self.stop_now.set()

    def run(self):
        client = None
        try:
            while not self.stop_now.is_set() and not self.faults:
                client = client or driver.Client(self.port)
                if self.chance.random() * 100 < self.rude:
                    self.break_off(client)
                    client = None
                else:
                    self.request(client)
                    self.requests += 1
        except (OSError, EOFError, ValueError) as error:
            self.faults.append(repr(error))
        finally:
            if client is not None:
                client.close()

    def size(self):
        return int(min(self.largest, 20 * 1.01 ** self.chance.randrange(900)))

    def request(self, client):
        chance = self.chance
        key = b"key%d" % chance.randrange(self.keys)
        what = chance.randrange(20)
        if what < 9:
            keys = {key} | {b"key%d" % chance.randrange(self.keys) for _ in range(chance.randrange(4))}
            for found, value in client.get(*keys).items():
                if found not in keys or not is_value_for(found, value):
                    self.faults.append("of %r came %r…" % (found, value[:80]))
            return
        if what < 15:
            verb = chance.choice([b"set", b"set", b"set", b"set", b"add", b"replace"])
            value = value_for(key, self.size(), chance.randrange(1000))
            expires = chance.choice([0, 0, 0, 1, 2, -1])
            answer = client.ask(b"%s %s 0 %d %d\r\n%s" % (verb, key, expires, len(value), value))
        elif what == 15:
            answer = client.ask(b"delete " + key)
        elif what == 16:
            answer = client.ask(b"touch %s %d" % (key, chance.choice([0, 1, 100])))
        elif what == 17:
            number = b"number%d" % chance.randrange(20)
            client.ask(b"add %s 0 0 1\r\n9" % number)
            answer = client.ask(b"%s %s %d" % (chance.choice([b"incr", b"decr"]), number, chance.randrange(1000)))
            if answer.isdigit():
                return
        elif what == 18 and chance.randrange(500) == 0:
            answer = client.ask(b"flush_all %d" % chance.choice([0, 0, 1]))
        elif what == 19 and chance.randrange(50) == 0:
            client.stats(chance.choice([b"", b"settings", b"strata"]))
            return
        else:
            many = chance.randrange(1, 30)
            client.send(b"".join(b"set many%d 0 1 3 noreply\r\nabc\r\n" % i for i in range(many)) + b"get many0\r\n")
            client.answers()
            return
        self.refused += answer.startswith(b"SERVER_ERROR")
        if answer not in ALLOWED:
            self.faults.append(repr(answer))

    def break_off(self, client):
        """Goes in the middle of something."""
        chance = self.chance
        half = [b"set half 0 0 100000\r\n" + b"x" * chance.randrange(100000), b"get key1", b"\xff" * 100, b"get key1 key2\r\n" * 50]
        client.send(chance.choice(half))
        if chance.randrange(2):
            client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        self.broken_off += 1
