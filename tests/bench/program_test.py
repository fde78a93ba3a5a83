# SPDX-License-Identifier: Apache-2.0
"""The program as it is used: it measures contenders in children of its own, names who is left out, and writes a JSON
document and an SVG chart that others can read. Its child says one line."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

PROGRAM = sys.argv[1]


def run(*arguments):
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True)


class ProgramTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(os.environ.get("TEST_TMPDIR") or tempfile.mkdtemp())
        cls.result = run("--workload=^(pair_64_a64|mt2_slots|tail)$", "--contender=^(glibc|boost_pool|tbb|slabs|heap)$",
                         "--rounds=2", "--share=0.0001", "--seed=7",
                         "--json=%s" % (cls.folder / "run.json"), "--svg=%s" % (cls.folder / "run.svg"))
        cls.document = json.loads((cls.folder / "run.json").read_text())

    def row(self, name):
        return next(r for r in self.document["rows"] if r["name"] == name)

    def test_says_how_it_went(self):
        self.assertEqual(self.result.returncode, 0, self.result.stderr)
        self.assertTrue(self.result.stdout.startswith("seed 7, 2 rounds"), self.result.stdout)
        self.assertIn("\nmt2_slots ", self.result.stdout)
        self.assertIn("heap is not shareable", self.result.stdout)

    def test_document_holds_every_sample(self):
        self.assertEqual(self.document["run"]["seed"], "7")
        self.assertEqual([r["name"] for r in self.document["rows"]],
                         ["pair_64_a64", "mt2_slots", "tail_p50", "tail_p99", "tail_p99.9"])
        slabs = self.row("mt2_slots")["contenders"]["slabs"]
        self.assertEqual(len(slabs["samples"]), 2)
        self.assertAlmostEqual(slabs["figure"], sum(slabs["samples"]) / 2, delta=slabs["figure"] / 1000)
        self.assertEqual(self.row("pair_64_a64")["target"], 0.8)
        best = self.row("pair_64_a64")["best_peer"]
        self.assertEqual(self.row("pair_64_a64")["contenders"][best]["ratio"], 1)

    def test_document_leaves_out_who_is_left_out(self):
        self.assertNotIn("heap", self.row("mt2_slots")["contenders"])
        self.assertIn("heap", self.row("pair_64_a64")["contenders"])
        self.assertNotIn("boost_pool", self.row("pair_64_a64")["contenders"])
        here = [c["name"] for c in self.document["contenders"]]
        for name in ("glibc", "slabs", "heap"):
            self.assertIn(name, here)
        for name in ("boost_pool", "tbb"):  # where they are not installed they are named
            named = any(s.startswith(name + " is left out: ") for s in self.document["left_out"])
            self.assertNotEqual(name in here, named, name)

    def test_chart_is_a_picture_with_a_line_for_each_row(self):
        root = xml.etree.ElementTree.parse(self.folder / "run.svg").getroot()
        self.assertEqual(root.tag, "{http://www.w3.org/2000/svg}svg")
        texts = [t.text for t in root.iter("{http://www.w3.org/2000/svg}text")]
        for row in self.document["rows"]:
            if "slabs" in row["contenders"] and "ratio" in row["contenders"]["slabs"]:
                self.assertIn(row["name"], texts)

    def test_child_says_one_line(self):
        child = run("measure", "tail", "glibc", "0.0001")
        words = child.stdout.split()
        self.assertEqual((child.returncode, words[0], len(words)), (0, "figures", 4), child)
        self.assertEqual(run("measure", "probe", "glibc", "1").stdout, "figures\n")
        self.assertEqual(run("measure", "pair_64_a64", "nobody", "1").returncode, 2)

    def test_runs_mpbench(self):
        file = self.folder / "mpbench.json"
        result = run("--mpbench", "--quick", "--threads=2", "--json=%s" % file)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("heap is not shareable", result.stdout)
        rows = {r["name"]: r["contenders"] for r in json.loads(file.read_text())["rows"]}
        phases = ["_alloc", "_free", "_again", "_slowest"]
        self.assertEqual(list(rows), ["mp%d%s" % (n, p) for n in (1, 2) for p in phases] +
                         ["holes_held", "holes_lost", "holes_full"])
        for name in ("malloc", "glibc", "std_sync_pool", "std_segment", "slabs", "sync_heap"):
            for row in [r for r in rows if r.startswith("mp")]:
                self.assertGreater(rows[row][name]["figure"], 0, row)
        for name in ("std_segment", "segment_heap"):
            self.assertGreaterEqual(rows["holes_full"][name]["figure"], 1)
        self.assertNotIn("slabs", rows["holes_full"])
        self.assertGreater(rows["holes_held"]["slabs"]["figure"], 0.5)

    def test_runs_shadow(self):
        result = run("--shadow", "--quick")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("published is left out of churn: its pages cannot be mapped once more", result.stdout)
        lines = [line.split() for line in result.stdout.splitlines()]
        for name in ("life_64", "server", "utility", "tree", "churn"):
            at = next(i for i, words in enumerate(lines) if words[:1] == [name])
            self.assertEqual((lines[at][2], lines[at][4]), ("plain", "1.00"), lines[at])
            if name != "churn":
                self.assertEqual((lines[at + 1][0], lines[at + 1][3]), ("published", "1.00"), lines[at + 1])
                self.assertGreater(float(lines[at + 1][1]), 0)

    def test_lists_shadow(self):
        self.assertIn("\nutility ", run("--shadow", "--list").stdout)
        self.assertNotIn("pair_16", run("--shadow", "--list").stdout)

    def test_lists_mpbench(self):
        listed = run("--mpbench", "--threads=7", "--list").stdout
        self.assertIn("\nmp7 ", listed)
        self.assertNotIn("\nmp8 ", listed)
        for count in ("-1", "257"):
            refused = run("--mpbench", "--threads=" + count)
            self.assertEqual((refused.returncode, refused.stderr), (1, "--threads is from 1 to 256\n"))

    def test_lists_and_refuses(self):
        self.assertIn("\nchurn_small ", run("--list").stdout)
        self.assertEqual(run("everything").returncode, 2)
        self.assertNotEqual(run("--rounds=1", "--workload=^pair_16$", "--contender=glibc", "--share=0.0001",
                                "--json=/no/such/folder/x").returncode, 0)
        self.assertNotEqual(run("--workload=(").returncode, 0)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
