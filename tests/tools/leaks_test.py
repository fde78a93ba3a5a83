# SPDX-License-Identifier: Apache-2.0
"""Claims: `strata leaks` says what tools/README.md shows, as text and as JSON; it ends with 0 when nothing is live, 1 when something is, 2 when
there is nothing to read; it reads standard input; garbage, a log cut off at any byte, and layer names that a terminal would obey do it no harm;
--top shortens; a large log takes memory for what is live, not for its length; a real program's log tells what it forgot (W2-09)."""

import json
import os
import pathlib
import random
import resource
import subprocess
import tempfile
import unittest

PROGRAM = "tools/strata"
LOG = "tests/tools/service.log"


def run(*args, data=None, limit=None):
    def restrain():
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))

    return subprocess.run([PROGRAM, *args], input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          preexec_fn=restrain if limit else None)


def of(log, *args):
    return run("leaks", *args, "-", data=log if isinstance(log, bytes) else log.encode())


def shown_in_readme(command):
    """What tools/README.md shows below a command."""
    text = pathlib.Path("tools/README.md").read_text()
    return text.split("$ " + command + "\n", 1)[1].split("\n```", 1)[0] + "\n"


class Leaks(unittest.TestCase):
    maxDiff = None

    def test_says_what_the_readme_shows(self):
        answer = run("leaks", LOG)
        self.assertEqual(answer.stdout.decode(), shown_in_readme("strata leaks " + LOG))
        self.assertEqual(answer.returncode, 1)
        self.assertEqual(answer.stderr, b"")

    def test_finds_what_a_real_program_forgot(self):
        """W2-09: the log of a debug_adaptor is enough to tell what is live, and who asked for it."""
        with tempfile.TemporaryDirectory() as here:
            log = pathlib.Path(here, "calls.log")
            subprocess.run(["tests/tools/leaky", log], check=True)
            answer = run("leaks", "--json", log)
        self.assertEqual(answer.returncode, 1, answer.stderr)
        said = json.loads(answer.stdout)
        self.assertEqual(said["live"], {"bytes": 5200, "blocks": 3})
        self.assertEqual([(g["layer"], g["bytes"], g["blocks"]) for g in said["groups"]],
                         [("service memory", 5000, 1), ("service memory", 200, 2)])
        self.assertEqual(said["layers"][0], {"name": "service memory", "live_bytes": 5200, "live_blocks": 3, "allocations": 104,
                                             "reallocations": 1, "deallocations": 101, "failed": 0, "misuse": 1})
        self.assertEqual(said["does_not_add_up"], {})
        for group, function in zip(said["groups"], ["forgotten_buffer", "forgotten_session"]):
            self.assertTrue(any(function in frame["function"] for frame in group["frames"]), group["frames"])

    def test_json_says_the_same(self):
        answer = run("leaks", "--json", LOG)
        self.assertEqual(answer.returncode, 1)
        said = json.loads(answer.stdout)
        self.assertEqual(said["live"], {"bytes": 1848, "blocks": 3})
        self.assertEqual([(g["layer"], g["bytes"], g["blocks"]) for g in said["groups"]],
                         [("requests", 1400, 1), ("book", 448, 2)])
        self.assertEqual([f["function"] for f in said["groups"][1]["frames"]],
                         ["order_book::insert(order const&)+0x91", "session::run()+0x1d4"])
        self.assertEqual(said["layers"][1], {"name": "book", "live_bytes": 448, "live_blocks": 2, "allocations": 3,
                                             "reallocations": 0, "deallocations": 2, "failed": 0, "misuse": 1})
        self.assertEqual([(c["layer"], c["verb"], c["bytes"], c["line"]) for c in said["under_way"]], [("requests", "allocate", 512, 32)])
        self.assertEqual(said["does_not_add_up"], {"freed_not_live": {"times": 1, "first_line": 31}})
        self.assertEqual(said["lines"], {"read": 32, "other": 2})

    def test_nothing_live_is_success(self):
        answer = of("strata-log 1 d\nd 1 begin allocate bytes=8\nd 1 end allocate pointer=0xa0 bytes=8\n"
                    "d 2 begin release\nd 2 end release\n")
        self.assertEqual(answer.returncode, 0)
        self.assertIn(b"standard input: nothing is live\n", answer.stdout)
        self.assertEqual(of("strata-log 1 d\n").returncode, 0)

    def test_what_cannot_be_read_is_said(self):
        for args, sentence in (
            (("leaks",), "leaks: of which log?"),
            (("leaks", "a", "b"), "leaks: one log, please"),
            (("leaks", "--xml", LOG), "leaks: there is no flag --xml"),
            (("leaks", "--top=x", LOG), "--top wants a number"),
            (("leaks", "/none/such"), "/none/such: No such file or directory"),
            (("leaks", "/"), "/: Is a directory"),
            (("leaks", "/dev/null"), "/dev/null: there is no call log in it"),
            (("leaks", "tools/README.md"), "tools/README.md: there is no call log in it"),
        ):
            answer = run(*args)
            self.assertEqual(answer.returncode, 2, args)
            self.assertEqual(answer.stderr.decode().split("\n")[0], "strata: " + sentence)
            self.assertEqual(answer.stdout, b"")
        self.assertIn(b"a call log of another version", of("strata-log 2 d\n").stderr)

    def test_a_log_cut_off_anywhere_is_read_as_far_as_it_goes(self):
        whole = pathlib.Path(LOG).read_bytes()
        for size in range(0, len(whole), 29):
            answer = of(whole[:size], "--json")
            if answer.returncode == 2:
                self.assertNotIn(b"strata-log 1 requests\n", whole[:size])
                continue
            said = json.loads(answer.stdout)
            # Never more lines than whole ones and the last; and the last one is believed only with its end.
            self.assertEqual(said["lines"]["read"], len(whole[:size].splitlines()))
            last = whole[:size].split(b"\n")[-1]
            if last.startswith((b"requests ", b"book ", b"frame ", b"strata-log ")):
                self.assertEqual(said["does_not_add_up"]["cut_short"]["first_line"], said["lines"]["read"])

    def test_garbage_does_no_harm(self):
        seed = random.SystemRandom().randrange(2**32)
        generator = random.Random(seed)
        whole = pathlib.Path(LOG).read_bytes()
        for _ in range(60):
            broken = bytearray(whole)
            for _ in range(generator.randrange(1, 60)):
                broken[generator.randrange(len(broken))] = generator.randrange(256)
            answer = of(bytes(broken), "--json")
            self.assertEqual((answer.returncode in (0, 1), answer.stderr), (True, b""), "seed %d" % seed)
            json.loads(answer.stdout)

    def test_names_are_not_obeyed(self):
        answer = of("strata-log 1 %1b%5b31mred\nframe 0x1 f%0Ag%9b\n%1b%5b31mred 1 begin allocate bytes=8\n"
                    "%1b%5b31mred 1 end allocate pointer=0xa0 bytes=8 stack=0x1\n")
        self.assertIn(b"from layer \\x1b[31mred, the first at 0xa0", answer.stdout)
        self.assertIn(b"f\\x0ag\\x9b\n", answer.stdout)
        self.assertNotIn(b"\x1b", answer.stdout)

    def test_top_shortens(self):
        text = run("leaks", "--top=1", LOG).stdout.decode()
        self.assertIn("1,400 bytes in 1 block from layer requests", text)
        self.assertNotIn("order_book::insert", text)
        self.assertIn("\n448 bytes in 2 blocks from 1 place more\n", text)

    def test_memory_is_for_what_is_live(self):
        with tempfile.NamedTemporaryFile(dir=os.environ.get("TEST_TMPDIR")) as file:
            file.write(b"strata-log 1 d\n")
            for first in range(1, 300000, 1000):
                file.write(b"".join(
                    b"d %d begin allocate bytes=8 alignment=8 thread=1\nd %d end allocate pointer=0x%x bytes=8 stack=0x1,0x%x\n"
                    b"d %d begin deallocate pointer=0x%x bytes=8\nd %d end deallocate pointer=0x%x bytes=8\n"
                    % (n, n, n * 16, n % 50, n + 10**9, n * 16, n + 10**9, n * 16) for n in range(first, first + 1000)))
            file.flush()
            self.assertGreater(os.path.getsize(file.name), 32 << 20)
            limit = None if os.environ.get("STRATA_CONFIG") in ("asan", "asan_ubsan", "tsan") else 16 << 20
            answer = run("leaks", file.name, limit=limit)
            self.assertEqual(answer.returncode, 0, answer.stderr)
            self.assertIn(b"1,200,001 lines read, 0 of them", answer.stdout)


if __name__ == "__main__":
    unittest.main()
