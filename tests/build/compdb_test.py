# SPDX-License-Identifier: Apache-2.0
"""tools/compdb.py turns Bazel's actions into entries that hold outside Bazel:

  - one entry for each source of this workspace, none for others' sources, the first target that compiles it standing for all;
  - paths below Bazel's directories made absolute, whatever flag they follow; nothing else touched;
  - no -fmodule-output, with which a tool would overwrite a BMI.
"""

import unittest

from tools import compdb

ROOTS = {"external": "/base/external", "bazel-out": "/base/out"}


class CompdbTest(unittest.TestCase):
    def test_paths_hold_outside_bazel(self):
        before = [
            "clang", "-fmodule-file=strata.mem:bytes=bazel-out/k8/bytes.pcm", "-iquote", "external/absl", "-Iexternal/absl",
            "-isystem", "bazel-out/k8/include", "-DX=\"external\"", "-Dnot-external/y", "-o", "bazel-out/k8/x.o", "mem/external/x.cc",
        ]
        self.assertEqual(compdb.command(before, ROOTS), [
            "clang", "-fmodule-file=strata.mem:bytes=/base/out/k8/bytes.pcm", "-iquote", "/base/external/absl", "-I/base/external/absl",
            "-isystem", "/base/out/k8/include", "-DX=\"external\"", "-Dnot-external/y", "-o", "/base/out/k8/x.o", "mem/external/x.cc",
        ])

    def test_no_tool_overwrites_a_bmi(self):
        self.assertEqual(compdb.command(["clang", "-fmodule-output=bazel-out/x.pcm", "x.cppm"], ROOTS), ["clang", "x.cppm"])

    def test_one_entry_a_source(self):
        actions = [
            {"arguments": ["clang", "-c", "pmr/b.cc", "-DFIRST"]},
            {"arguments": ["clang", "-c", "external/absl/a.cc"]},
            {"arguments": ["clang", "-c", "pmr/a.cppm"]},
            {"arguments": ["clang", "-c", "pmr/b.cc", "-DSECOND"]},
            {"arguments": ["ar", "x.a"]},
        ]
        self.assertEqual(compdb.entries(actions, "/work", ROOTS), [
            {"directory": "/work", "file": "pmr/a.cppm", "arguments": ["clang", "-c", "pmr/a.cppm"]},
            {"directory": "/work", "file": "pmr/b.cc", "arguments": ["clang", "-c", "pmr/b.cc", "-DFIRST"]},
        ])


if __name__ == "__main__":
    unittest.main()
