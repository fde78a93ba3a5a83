# SPDX-License-Identifier: Apache-2.0
"""Claims: text, JSON and Prometheus text of stacks of many shapes can be read by strict readers and say the same; in each the
sums over the layers are what the sources took; attribution rises step by step; the reader itself refuses what is wrong."""

import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

from tests.support import prometheus_text

PROBE = sys.argv.pop(1)
UNITS = ["B", "KiB", "MiB", "GiB"]
STEPS = ["requested", "handed_out", "carved", "mapped"]


def readable(figure):
    unit = 0
    while figure >= 1024 and unit + 1 < len(UNITS):
        figure /= 1024
        unit += 1
    return ("%.0f %s" if unit == 0 else "%.1f %s") % (figure, UNITS[unit])


class Forms(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = tempfile.TemporaryDirectory()
        cls.files = pathlib.Path(cls.place.name)
        subprocess.run([PROBE, cls.place.name], check=True)
        cls.stacks = sorted(f.stem for f in cls.files.glob("*.json"))

    @classmethod
    def tearDownClass(cls):
        cls.place.cleanup()

    def read(self, stack):
        report = json.loads((self.files / (stack + ".json")).read_bytes().decode("utf-8"))
        samples = prometheus_text.parse((self.files / (stack + ".prom")).read_bytes())
        return report, samples

    def test_every_shape_is_there(self):
        self.assertGreaterEqual(len(self.stacks), 13)

    def test_sums_over_layers_are_what_the_sources_took(self):
        for stack in self.stacks:
            report, _ = self.read(stack)
            rows, totals = report["layers"], report["totals"]
            with self.subTest(stack, report=report):
                self.assertEqual(report["dropped"], 0)
                self.assertGreater(totals["requested"], 0)
                for row in rows:
                    self.assertEqual(row["upstream"], row["live"] + row["kept"] + row["overhead"], row)
                self.assertEqual(sum(r["handed_out"] + r["kept"] + r["overhead"] for r in rows), totals["mapped"])
                self.assertEqual(sum(r["from_outside"] for r in rows), totals["mapped"])
                # What a layer without a row for its second upstream has from there, it has from the OS: it is a source, too.
                own = sum(r["from_second"] for r in rows if r["first"] is not None and r["second"] is None)
                sources = [r for r in rows if r["first"] is None]
                self.assertEqual(sum(r["upstream"] for r in sources) + own, totals["mapped"])
                self.assertEqual(sum(r["live"] for r in sources) + own, totals["carved"])
                self.assertEqual([totals[s] for s in STEPS], sorted(totals[s] for s in STEPS))

    def test_what_a_layer_has_from_another_is_live_there(self):
        for stack in self.stacks:
            rows = self.read(stack)[0]["layers"]
            for index, row in enumerate(rows):
                taken = sum(r["upstream"] - r["from_second"] for r in rows if r["first"] == index)
                taken += sum(r["from_second"] for r in rows if r["second"] == index)
                self.assertEqual(row["live"], taken + row["handed_out"], (stack, row))

    def test_second_upstreams_and_others_count(self):
        rows = self.read("fallback")[0]["layers"]
        self.assertGreater(rows[-1]["from_second"], 0)
        self.assertIsNotNone(rows[-1]["second"])
        self.assertGreater(rows[rows[-1]["second"]]["handed_out"], 0)
        shared = self.read("shared_below")[0]["layers"]
        self.assertGreater(shared[-2]["handed_out"], 0)
        self.assertEqual(self.read("no_source")[0]["layers"][0]["from_outside"], self.read("no_source")[0]["totals"]["mapped"])

    def test_prometheus_says_what_json_says(self):
        for stack in self.stacks:
            report, samples = self.read(stack)
            resource = report["resource"]
            names = {"handed_out": "handed_out_bytes", "live": "live_bytes", "kept": "kept_bytes", "overhead": "overhead_bytes",
                     "upstream": "upstream_bytes", "from_outside": "outside_bytes", "peak": "peak_bytes",
                     "resident": "resident_bytes", "live_blocks": "live_blocks", "allocations": "allocations_total",
                     "failures": "failures_total"}  # fmt: skip
            expected = {}
            for index, row in enumerate(report["layers"]):
                labels = frozenset({"resource": resource, "layer": row["layer"], "index": str(index)}.items())
                for key, name in names.items():
                    if row[key] is not None:
                        expected["strata_layer_" + name, labels] = row[key]
                expected["strata_layer_degradations", labels] = len(row["degraded"])
            for step in STEPS + ["resident"]:
                if report["totals"][step] is not None:
                    expected["strata_%s_bytes" % step, frozenset({"resource": resource}.items())] = report["totals"][step]
            self.assertEqual(samples, expected, stack)

    def test_text_says_what_json_says(self):
        for stack in self.stacks:
            report, _ = self.read(stack)
            lines = (self.files / (stack + ".txt")).read_text(encoding="utf-8").split("\n")
            for line, row in zip(lines[1:], report["layers"]):
                figures = [readable(row[key]) for key in ("live", "peak", "kept", "overhead", "upstream")]
                words = line.split()
                self.assertEqual(words[-3:], [str(row[key]) for key in ("live_blocks", "allocations", "failures")], line)
                self.assertEqual(words[-13:-3], " ".join(figures).split(), line)
            totals = report["totals"]
            resident = "unknown" if totals["resident"] is None else readable(totals["resident"])
            said = ", ".join("%s %s" % (s.replace("_", " "), readable(totals[s])) for s in STEPS)
            self.assertEqual(lines[1 + len(report["layers"])], said + ", resident " + resident)

    def test_resident_is_known_where_sources_tell(self):
        for stack in ("pages", "slabs", "debug", "mempool", "size_split"):
            totals = self.read(stack)[0]["totals"]
            self.assertIsNotNone(totals["resident"], stack)
            self.assertLessEqual(totals["resident"], totals["mapped"], stack)
            self.assertGreaterEqual(totals["resident"], totals["requested"] // 2, stack)
        for stack in ("limits", "borrowed", "synchronized"):
            self.assertIsNone(self.read(stack)[0]["totals"]["resident"], stack)

    def test_odd_names_arrive(self):
        self.assertEqual(self.read("limits")[0]["resource"], 'odd "name" \\ with\nall é and \ufffd')

    def test_several_resources_share_a_page(self):
        samples = prometheus_text.parse((self.files / "all.prom").read_bytes())
        for resource in ("items", "buffers"):
            self.assertGreater(prometheus_text.value(samples, "strata_requested_bytes", resource=resource), 0)

    def test_the_reader_refuses(self):
        head = b"# HELP a_bytes x\n# TYPE a_bytes gauge\n"
        prometheus_text.parse(head + b'a_bytes{l="x\\n"} 1\n')
        for wrong in (
            b'a_bytes{l="1"} 1\n',
            head + b'a_bytes{l="1"} 1',
            head + b'a_bytes{l="1"} 1\na_bytes{l="1"} 2\n',
            head + b'a_bytes{l="\\t"} 1\n',
            head + b'a_bytes{l="1" m="2"} 1\n',
            head + b'a_bytes{l="1"}\n',
            head + b'a_bytes{l="\xff"} 1\n',
            head + b"# TYPE a_bytes gauge\n",
            b"# HELP a x\n# TYPE a counter\na 1\n",
            head + b"# HELP b x\n# TYPE b gauge\nb 1\na_bytes 1\n",
            head + b"# HELP b x\n# TYPE b gauge\nb 1\n" + head,
        ):
            with self.assertRaises((prometheus_text.Refused, UnicodeDecodeError), msg=wrong):
                prometheus_text.parse(wrong)


if __name__ == "__main__":
    unittest.main()
