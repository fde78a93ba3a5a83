# SPDX-License-Identifier: Apache-2.0
"""Claims: under memcheck every keeper of a plain build does what inspected_blocks_test says, and memcheck finds nothing wrong with the keepers."""

import shutil
import subprocess
import sys
import unittest

PROGRAM = sys.argv[1]


class InspectedByMemcheck(unittest.TestCase):
    def test_keepers_are_inspected_and_cleanly(self):
        # In what order blocks are used again is the same under either inspector, and takes memcheck long.
        # Without the pipes for a debugger: they lie in /tmp by process number, which sandboxes beside one another have in common.
        command = ["valgrind", "--vgdb=no", "--quiet", "--error-exitcode=9", "--leak-check=no", PROGRAM, "--gtest_filter=-*WhatWentFirst*"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout + done.stderr)
        self.assertNotIn("SKIPPED", done.stdout)
        self.assertIn("[  PASSED  ]", done.stdout)


if __name__ == "__main__":
    if shutil.which("valgrind") is None:
        sys.exit("valgrind is missing: apt-get install valgrind")
    unittest.main(argv=sys.argv[:1])
