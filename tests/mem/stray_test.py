# SPDX-License-Identifier: Apache-2.0
"""Claims: an inspector reports a load and a store where memory is hidden, memcheck also a decision by what was shown and never written; and
reports nothing else. A plain build runs under memcheck, one with AddressSanitizer by itself."""

import os
import shutil
import subprocess
import sys
import unittest

PROGRAM, UNIT_TEST = sys.argv[1:3]
ASAN = os.environ["STRATA_CONFIG"].startswith("asan")
# Without the pipes for a debugger: they lie in /tmp by process number, which sandboxes beside one another have in common.
MEMCHECK = ["valgrind", "--vgdb=no", "--quiet", "--error-exitcode=9", "--leak-check=no"]


def run(program, *arguments, **environment):
    command = ([] if ASAN else MEMCHECK) + [program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, check=False)


class Stray(unittest.TestCase):
    def assert_silent(self, what):
        done = run(PROGRAM, what)
        self.assertEqual((done.returncode, done.stderr), (0, ""), what)

    def assert_told(self, what, asan, memcheck):
        done = run(PROGRAM, what)
        self.assertNotEqual(done.returncode, 0, what)
        self.assertIn(asan if ASAN else memcheck, done.stderr, what)

    def test_a_load_where_memory_is_hidden_is_told(self):
        self.assert_told("read_hidden", "use-after-poison", "Invalid read of size 1")

    def test_a_store_where_memory_is_hidden_is_told(self):
        self.assert_told("write_hidden", "use-after-poison", "Invalid write of size 1")

    def test_what_was_shown_is_not_initialised(self):
        if ASAN:
            self.assert_silent("decide_by_shown")
        else:
            self.assert_told("decide_by_shown", "", "depends on uninitialised value")

    def test_nothing_else_is_told(self):
        self.assert_silent("behave")

    def test_the_room_works_as_it_says_under_either(self):
        done = run(UNIT_TEST, **({} if ASAN else {"STRATA_UNDER_MEMCHECK": "1"}))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    if not ASAN and shutil.which("valgrind") is None:
        sys.exit("valgrind is missing: apt-get install valgrind")
    unittest.main(argv=sys.argv[:1])
