# SPDX-License-Identifier: Apache-2.0
"""Claims: `strata heapmap` says what tools/README.md shows; no line is wider than the width, and all fit a screen, however many arenas there are;
colours only where they are wanted; a dump that does not add up is shown as far as it does, said, and ends with 1; what cannot be read, with 2;
the page is one file that asks for nothing else, well formed, and says what is wrong with its dump."""

import os
import pathlib
import re
import subprocess
import unittest

from tests.tools import page

PROGRAM = "tools/strata"
DUMP = "tests/tools/service.dump"


def run(*args, data=None):
    return subprocess.run([PROGRAM, "heapmap", *args], input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          universal_newlines=True)


def shown_in_readme(command):
    text = pathlib.Path("tools/README.md").read_text()
    return text.split("$ " + command + "\n", 1)[1].split("\n```", 1)[0] + "\n"


class Screen(unittest.TestCase):
    maxDiff = None

    def test_says_what_the_readme_shows(self):
        answer = run(DUMP)
        self.assertEqual(answer.stdout, shown_in_readme("strata heapmap " + DUMP))
        self.assertEqual((answer.returncode, answer.stderr), (0, ""))

    def test_fits(self):
        dumps = {"service": pathlib.Path(DUMP).read_text(), "many": page.dump_of(arenas=500, blocks=5000), "large": page.dump_of(arenas=3, blocks=30000)}
        for name, text in dumps.items():
            for width in (40, 80, 132):
                answer = run("--width=%d" % width, "-", data=text)
                self.assertEqual(answer.returncode, 0)
                lines = answer.stdout.splitlines()
                self.assertLessEqual(len(lines), 24 if width >= 80 else 30, name)
                cells = [l for l in lines if re.match(r"0x|\s+\+", l)]
                self.assertGreater(len(cells), 1)
                for line in cells:
                    self.assertLessEqual(len(line), width, line)
        self.assertIn("arenas more", run("-", data=dumps["many"]).stdout)

    def test_colours_where_they_are_wanted(self):
        self.assertNotIn("\033", run(DUMP).stdout)
        self.assertNotIn("\033", run("--colour=never", DUMP).stdout)
        coloured = run("--colour=always", DUMP).stdout
        self.assertIn("\033[38;5;", coloured)
        for line in coloured.splitlines():
            if "\033" in line:
                self.assertEqual(line.rindex("\033"), line.rindex("\033[0m"), "what follows is plain again")

    def test_what_does_not_add_up_is_shown_and_said(self):
        text = pathlib.Path(DUMP).read_text()
        cut = text[:len(text) // 2]
        answer = run("-", data=cut)
        self.assertEqual(answer.returncode, 1)
        self.assertIn("heap book: ", answer.stdout)
        self.assertIn("heap book: does not add up: the dump is cut short (1 time, the first in line %d)\n" % (cut.count("\n") + 1), answer.stderr)

    def test_several_in_a_file(self):
        text = pathlib.Path(DUMP).read_text()
        self.assertEqual(run("-", data=text + "hello\n" + text).stdout.count("heap book: "), 2)

    def test_what_cannot_be_read_is_said(self):
        for args, sentence in (
            ((), "heapmap: of which dump?"),
            (("a", "b"), "heapmap: one dump, please"),
            (("--xml", DUMP), "heapmap: there is no flag --xml"),
            (("--width=0", DUMP), "--width wants a number of columns up to 1000"),
            (("--row=1000", "--html=x", DUMP), "--row wants a power of two, 256 or more"),
            (("--row=1024", DUMP), "--row is for --html"),
            (("--colour=pink", DUMP), "--colour is auto, always or never"),
            (("--html=", DUMP), "--html wants a file"),
            (("/none/such",), "/none/such: No such file or directory"),
            (("/dev/null",), "/dev/null: there is no heap dump in it"),
            (("--html=/none/such", DUMP), "/none/such: No such file or directory"),
        ):
            answer = run(*args)
            self.assertEqual(answer.returncode, 2, args)
            self.assertEqual(answer.stderr.split("\n")[0], "strata: " + sentence)


class Page(unittest.TestCase):
    def test_is_one_file_and_well_formed(self):
        text = page.made_of(pathlib.Path(DUMP).read_text())
        self.assertNotRegex(text, r"https?:(?!//www\.w3\.org/2000/svg)|src=|@import|url\(|<link")
        self.assertEqual(text.count("http"), 2, "the policy's http-equiv, and the name of SVG")
        found = page.Elements(text)
        self.assertEqual(found.unbalanced, [])
        self.assertEqual(len(found.arenas), 2)
        for arena in found.arenas:
            self.assertTrue(arena["title"] and arena["desc"])

    def test_tells_every_block_once(self):
        dump = page.dump_of(arenas=3, blocks=3000)
        blocks = {line.split()[1][2:] for line in dump.splitlines() if not line.startswith(("strata", "arena", "end"))}
        found = page.Elements(page.made_of(dump))
        drawn = {b.split()[0] for b in found.blocks if not b.endswith(" arena")}
        together = sum(int(m.split()[2]) for m in found.cells)
        self.assertLessEqual(drawn, blocks)
        self.assertEqual(len(drawn) + together, len(blocks))

    def test_names_mean_nothing_in_html(self):
        text = page.made_of("strata-heap 1 <script>alert(1)</script>&%22\narena 0x1000 4096\nfree 0x1028 4048 0\nend 1 1\n")
        self.assertIn("&lt;script&gt;alert(1)&lt;/script&gt;&amp;&quot;", text)
        self.assertEqual(text.count("<script>"), 1)

    def test_says_what_is_wrong_with_its_dump(self):
        text = page.made_of("strata-heap 1 h\narena 0x1000 4096\nfree 0x1028 9999 0\n", status=1)
        self.assertIn("blocks outside their arena or over another, left out (1 time, the first in line 3)", text)
        self.assertIn("the dump is cut short", text)


if __name__ == "__main__":
    unittest.main()
