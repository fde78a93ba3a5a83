# SPDX-License-Identifier: Apache-2.0
"""The guard of hot pairs fails when it should, needing neither valgrind nor an optimised build: a rise is wrong, a fall is to be written down, a
workload that came or went is wrong; golden.txt keeps its head and has a number for every workload; who cannot count says why."""

import subprocess
import sys
import unittest

from tests.callgrind import instructions

PROGRAM = sys.argv.pop(1)
GOLDEN = "tests/callgrind/golden.txt"


class InstructionsTest(unittest.TestCase):
    def test_a_rise_is_wrong(self):
        wrong, stale = instructions.compare({"slabs": 30.0, "cache": 40.0}, {"slabs": 30.01, "cache": 40.0})
        self.assertEqual(wrong, ["slabs: 30.01 instructions a pair, 30.00 are allowed"])
        self.assertEqual(stale, [])

    def test_a_fall_is_to_be_written_down(self):
        wrong, stale = instructions.compare({"slabs": 30.0}, {"slabs": 29.0})
        self.assertEqual(wrong, [])
        self.assertEqual(len(stale), 1)

    def test_what_came_or_went_is_wrong(self):
        wrong, _ = instructions.compare({"gone": 1.0}, {"new": 2.0})
        self.assertEqual(len(wrong), 2)

    def test_an_update_keeps_the_head(self):
        text = instructions.updated("# rule\n# more\n\nslabs 1.00\n", {"slabs": 2.5, "cache": 3.0})
        self.assertTrue(text.startswith("# rule\n# more\n\n"))
        self.assertEqual(instructions.parse(text), {"slabs": 2.5, "cache": 3.0})

    def test_every_workload_has_a_number(self):
        _, *workloads = subprocess.run([PROGRAM], capture_output=True, text=True, check=True).stdout.split()
        with open(GOLDEN) as file:
            self.assertEqual(sorted(instructions.parse(file.read())), sorted(workloads))

    def test_every_workload_runs(self):
        _, *workloads = subprocess.run([PROGRAM], capture_output=True, text=True, check=True).stdout.split()
        for workload in workloads:
            subprocess.run([PROGRAM, workload, "100"], check=True)

    def test_a_count_is_read(self):
        self.assertEqual(instructions.collected("==7== Events    : Ir\n==7== Collected : 1234567\n"), 1234567)
        with self.assertRaises(instructions.Unable):
            instructions.collected("valgrind: no such tool")


unittest.main()
