# SPDX-License-Identifier: Apache-2.0
"""`strata meminfo` on this machine: agrees with /proc/meminfo, sysconf and resource limits; JSON and table agree; identities of W0-12 hold."""

import json
import os
import re
import resource
import subprocess
import sys
import unittest

PROGRAM = sys.argv.pop()


def strata(*arguments):
    return subprocess.run([PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)


def proc_meminfo():
    with open("/proc/meminfo", encoding="ascii") as file:
        return {name: int(words.split()[0]) * 1024 for name, words in (line.split(":") for line in file) if words.endswith("kB\n")}


class Meminfo(unittest.TestCase):
    def setUp(self):
        before = proc_meminfo()
        result = strata("meminfo", "--json")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.found = json.loads(result.stdout)
        self.before, self.after = before, proc_meminfo()

    def test_agrees_with_the_kernel(self):
        self.assertEqual(self.found["managed"], self.before["MemTotal"])
        self.assertEqual(self.found["managed"], os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
        self.assertIn(os.sysconf("SC_PAGE_SIZE"), [p["page"] for p in self.found["pages"]])
        if self.before["Mlocked"] == self.after["Mlocked"]:
            self.assertEqual(self.found["locked"], self.before["Mlocked"])

    def test_identities_hold(self):
        f = self.found
        self.assertGreaterEqual(f["installed"], f["managed"])
        self.assertGreaterEqual(f["managed"], f["limit"])
        self.assertGreaterEqual(f["limit"], f["soft_limit"])
        self.assertGreaterEqual(f["limit"], f["available"])
        self.assertGreater(f["available"], 0)
        self.assertEqual(f["limit"] == f["managed"], f["limit_origin"] == "machine")
        for pool in f["pages"]:
            if "total" in pool:
                self.assertGreaterEqual(pool["total"], pool["free"])
                self.assertGreaterEqual(pool["free"], pool["reserved"])

    def test_the_limit_is_in_the_file_it_names(self):
        origin = self.found["limit_origin"]
        if origin == "machine":
            return
        with open(origin, encoding="ascii") as file:
            self.assertEqual(int(file.read()), self.found["limit"])

    def test_file_systems_are_those_that_are_mounted(self):
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            mounted = {line.split()[4] for line in file if line.split(" - ")[1].split()[0] in ("tmpfs", "ramfs")}
        self.assertEqual({fs["path"] for fs in self.found["file_systems"]}, {p.replace("\\040", " ") for p in mounted})
        for fs in self.found["file_systems"]:
            try:
                known = os.statvfs(fs["path"])
            except OSError:  # not this user's to look into
                self.assertIsNone(fs["size"])
                continue
            self.assertEqual(fs["size"] or 0, known.f_blocks * known.f_frsize)

    def test_the_lock_limit_is_the_processes(self):
        soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
        if self.found["may_lock"] is not None:
            self.assertEqual(self.found["may_lock"], soft)
        elif soft != resource.RLIM_INFINITY:
            with open("/proc/self/status", encoding="ascii") as file:
                effective = int(re.search(r"CapEff:\s*(\w+)", file.read()).group(1), 16)
            self.assertTrue(effective & 1 << 14, "unlimited without CAP_IPC_LOCK")

    def test_table_and_json_agree(self):
        table = strata("meminfo").stdout
        for name in ("installed", "managed by the system", "limit of this process", "available to it", "may lock"):
            self.assertRegex(table, "(?m)^%s +[\\w.]+" % name)
        figure = re.search(r"(?m)^managed by the system +([\d.]+) GiB|^managed by the system +([\d.]+) (MiB|TiB)", table)
        self.assertIsNotNone(figure, table)
        if figure.group(1):
            self.assertAlmostEqual(float(figure.group(1)), self.found["managed"] / 2**30, delta=0.051)
        self.assertEqual(table.count("\npages of"), len(self.found["pages"]))
        self.assertEqual(table.count("\nfiles in memory"), len(self.found["file_systems"]))

    def test_what_it_does_not_know_is_said(self):
        for wrong in ([], ["memory"], ["meminfo", "more"]):
            result = strata(*wrong)
            self.assertEqual(result.returncode, 2)
            self.assertIn("strata meminfo", result.stderr)
            self.assertEqual(result.stdout, "")


unittest.main()
