# SPDX-License-Identifier: Apache-2.0
"""bazel/whole_interface.py makes one unit of a module's interfaces:

  - each interface after those it imports, the primary last, under its own name and line numbers;
  - imports of other modules once, before all else; imports of own partitions not at all;
  - what the primary does not re-export is not exported.
"""

import re
import unittest

from bazel import whole_interface

PRIMARY = """\
// A licence.
export module shop;

export import :stall;
import :till;
"""

STALL = """\
module;
#if defined(__linux__)
#include <cstddef>
#endif

export module shop:stall;

import :till;
import street;

// import :nothing; is not said at the start of a line
export namespace shop {
int stall();
}  // namespace shop
"""

TILL = """\
module;
#include <cstddef>
export module shop:till;
import street;
export namespace shop { int till(); }
"""


def unit(*texts):
    paths = ["shop.cppm", "stall.cppm", "till.cppm"]
    return whole_interface.whole([whole_interface.Interface(*pair) for pair in zip(paths, texts)])


class WholeInterfaceTest(unittest.TestCase):
    def setUp(self):
        self.lines = unit(PRIMARY, STALL, TILL).split("\n")

    def line(self, start):
        return next(number for number, line in enumerate(self.lines) if line.startswith(start))

    def test_each_comes_after_what_it_imports(self):
        self.assertLess(self.line("namespace shop { int till"), self.line("export namespace shop {"))

    def test_each_keeps_its_name_and_lines(self):
        name, number = None, 0
        for line in self.lines:
            marker = re.match(r'#line (\d+) "(.*)"', line)
            if marker:
                name, number = marker[2], int(marker[1])
                continue
            if line.startswith("int stall"):
                break
            number += 1
        self.assertEqual((name, STALL.split("\n")[number - 1]), ("stall.cppm", "int stall();"))

    def test_other_modules_are_imported_once_and_first(self):
        self.assertEqual(self.lines.count("import street;"), 1)
        self.assertEqual(self.line("import street;"), self.line("export module shop;") + 1)

    def test_partitions_are_not_imported(self):
        self.assertFalse([line for line in self.lines if re.match(r"(export )?import :", line)])

    def test_what_the_primary_does_not_re_export_is_not_exported(self):
        self.assertIn("export namespace shop {", self.lines)
        self.assertIn("namespace shop { int till(); }", self.lines)

    def test_headers_stay_before_the_module_with_their_conditions(self):
        self.assertLess(self.line("#endif"), self.line("export module shop;"))
        self.assertEqual(self.lines[self.line("#if defined") + 1], "#include <cstddef>")

    def test_a_partition_that_is_missing_is_an_error(self):
        with self.assertRaises(KeyError):
            unit(PRIMARY, STALL)


if __name__ == "__main__":
    unittest.main()
