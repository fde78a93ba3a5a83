# SPDX-License-Identifier: Apache-2.0
"""The tree keeps the rules of the house:

  - floors: what imports what, where OS headers and OS conditions may be;
  - rooms: file, module partition, primary and test agree;
  - BUILD files declare exactly the modules that clang-scan-deps sees imported, and build every file;
  - units: licence line, nothing local in interfaces, includes before imports.
"""

import json
import pathlib
import sys
import unittest

from tests.layering import layering


class LayeringTest(unittest.TestCase):
    root = None  # of the source tree itself
    units = None

    def expect_none(self, complaints):
        if complaints:
            self.fail("\n" + "\n".join(complaints))

    def test_the_tree_is_there(self):
        self.assertTrue((self.root / "WORKSPACE").exists(), self.root)
        self.assertEqual([floor for floor, files in layering.floors(self.root) if not files], [])
        self.assertTrue(self.units)

    def test_rules(self):
        for rule in layering.RULES:
            with self.subTest(rule.__name__):
                self.expect_none(rule(self.root))

    def test_targets_declare_what_units_import(self):
        self.expect_none(layering.targets_declare_what_units_import(self.units, lambda scan: pathlib.Path(scan).read_text()))

    def test_every_file_is_built(self):
        self.expect_none(layering.every_file_is_built(self.root, self.units))


if __name__ == "__main__":
    anchor, units = sys.argv[1:3]
    LayeringTest.root = pathlib.Path(anchor).resolve().parent
    LayeringTest.units = json.loads(pathlib.Path(units).read_text())
    print("\n".join(layering.long_files(LayeringTest.root)))
    unittest.main(argv=sys.argv[:1])
