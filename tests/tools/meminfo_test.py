# SPDX-License-Identifier: Apache-2.0
"""Claims: `strata meminfo` prints every group as a table and as JSON, with the same figures, which are the machine's own; names that need
quoting come through; what is not known is refused with the usage."""

import json
import os
import subprocess
import tempfile
import unittest

PROGRAM = os.path.join(os.environ["TEST_SRCDIR"], os.environ["TEST_WORKSPACE"], "tools", "strata")


def run(*args):
    return subprocess.run([PROGRAM, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)


class Meminfo(unittest.TestCase):
    def test_json_and_table_say_the_same(self):
        facts = json.loads(run("meminfo", "--json").stdout)
        table = run("meminfo").stdout
        for group in ("memory", "limit", "locked", "pages"):
            self.assertIn(group, facts)
            self.assertIn(group, table)
        for name in ("installed", "managed"):
            self.assertIn(str(facts["memory"][name]), table)

    def test_figures_are_the_machines(self):
        facts = json.loads(run("meminfo", "--json").stdout)
        with open("/proc/meminfo") as file:
            total = int(next(line for line in file if line.startswith("MemTotal:")).split()[1]) * 1024
        self.assertEqual(facts["memory"]["managed"], total)
        self.assertEqual(facts["pages"]["base"], os.sysconf("SC_PAGESIZE"))
        self.assertLessEqual(facts["memory"]["available"], facts["limit"]["hard"])

    def test_of_a_machine_made_up(self):
        with tempfile.TemporaryDirectory() as root:
            os.makedirs(root + "/proc/self")
            os.makedirs(root + '/a "b\\c')
            with open(root + "/proc/meminfo", "w") as file:
                file.write("MemTotal: 8388608 kB\nMemAvailable: 2097152 kB\n")
            with open(root + "/proc/self/mountinfo", "w") as file:
                file.write('37 35 0:32 / /a\\040"b\\134c rw - tmpfs none rw\n')
            answer = run("meminfo", "--json", "--root=" + root)
            facts = json.loads(answer.stdout)
            self.assertEqual(facts["memory"]["managed"], 8 << 30)
            self.assertIn('/a "b\\c size', facts["tmpfs"])
            self.assertIn("8.0 GiB  8589934592", run("meminfo", "--root=" + root).stdout)

    def test_what_is_not_known_is_refused(self):
        for args in ((), ("memory",), ("meminfo", "--xml")):
            answer = run(*args)
            self.assertEqual(answer.returncode, 2)
            self.assertIn("usage: strata meminfo [--json]", answer.stderr)


if __name__ == "__main__":
    unittest.main()
