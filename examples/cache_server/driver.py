# SPDX-License-Identifier: Apache-2.0
"""Starts a cache server and talks to it: for tests, soak.py and compare.py."""

import json
import os
import signal
import socket
import subprocess
import urllib.request

PATIENCE = 60  # seconds until something that does not come is a failure


class Server:
    """A server of its own on free ports; in a `with`, ended with SIGTERM, and its end is looked at."""

    def __init__(self, program, *flags):
        # Reports of sanitizers go to standard error and have an exit status of their own.
        self.process = subprocess.Popen(
            [program, "--port=0", "--http_port=0", *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        words = {}
        while len(words) < 2:
            line = self.process.stdout.readline().split()
            if len(line) != 2:
                raise RuntimeError("the server did not start: " + self.process.communicate()[1])
            words[line[0]] = int(line[1])
        self.port, self.http_port = words["port"], words["http_port"]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.process.returncode is None:
            self.end()

    def end(self, sent=signal.SIGTERM):
        """Ends it and demands that it left nothing live."""
        self.process.send_signal(sent)
        try:
            out, err = self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise RuntimeError("the server does not end: " + self.process.communicate()[1])
        if self.process.returncode != 0 or out.strip() != "nothing live":
            raise RuntimeError("the server ended with %d: %s%s" % (self.process.returncode, out, err))

    def client(self):
        return Client(self.port)

    def http(self, path):
        with urllib.request.urlopen("http://127.0.0.1:%d%s" % (self.http_port, path), timeout=PATIENCE) as answer:
            return answer.read()

    def metrics(self):
        """The page of /metrics, as bytes."""
        return self.http("/metrics")

    def report(self):
        """{resource: its part of /report.json}."""
        return {r["resource"]: r for r in json.loads(self.http("/report.json"))}

    def resident(self):
        with open("/proc/%d/status" % self.process.pid, encoding="ascii") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS:"))

    def cpu_seconds(self):
        """Of processors' time it has had."""
        with open("/proc/%d/stat" % self.process.pid, encoding="ascii") as status:
            words = status.read().rsplit(")", 1)[1].split()
            return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def live_items(self):
        return self.report()["items"]["layers"][-1]["live"]


class Client:
    """A connection. Whoever ends it early is forgiven by nobody: an EOFError."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.input = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def close(self):
        self.input.close()
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def line(self):
        line = self.input.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError("the server closed, after %r" % line)
        return line[:-2]

    def ask(self, data):
        self.send(data + b"\r\n")
        return self.line()

    def set(self, key, value, flags=0, expires=0):
        return self.ask(b"set %s %d %d %d\r\n%s" % (key, flags, expires, len(value), value))

    def answers(self):
        """{key: value} up to END."""
        found = {}
        while (line := self.line()) != b"END":
            word, key, _, length = line.split()[:4]
            if word != b"VALUE":
                raise ValueError(line)
            data = self.input.read(int(length) + 2)
            if len(data) != int(length) + 2 or not data.endswith(b"\r\n"):
                raise EOFError("half a value")
            found[key] = data[:-2]
        return found

    def get(self, *keys):
        self.send(b"get " + b" ".join(keys) + b"\r\n")
        return self.answers()

    def stats(self, what=b""):
        self.send(b"stats %s\r\n" % what)
        found = {}
        while (line := self.line()) != b"END":
            word, name, value = line.split(b" ", 2)
            if word != b"STAT":
                raise ValueError(line)
            found[name.decode()] = value.decode()
        return found

    def is_closed(self):
        """Waits until the server closes; true unless it says something instead."""
        try:
            return self.input.read(1) == b""
        except ConnectionResetError:
            return True


def names_of_stacks(program):
    """As --help lists them."""
    help_text = subprocess.run([program, "--help"], stdout=subprocess.PIPE, text=True, check=False).stdout
    rows = help_text.split("memories for --stack:\n")[1].split("\n")
    names = []
    for row in rows:
        if not row.startswith("  ") or not row.split():
            break
        names.append(row.split()[0])
    return names


def allow_descriptors(wanted):
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, wanted), hard), hard))


def find_program(name):
    for place in ("/usr/bin", "/usr/local/bin"):
        if os.access(os.path.join(place, name), os.X_OK):
            return os.path.join(place, name)
    return None
