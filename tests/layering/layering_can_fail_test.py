# SPDX-License-Identifier: Apache-2.0
"""Every rule of layering.py fires on a planted violation, by file and line, and is silent on a tree that keeps them all."""

import json
import pathlib
import sys
import tempfile
import textwrap
import unittest

from tests.layering import layering

LICENCE = "// SPDX-License-Identifier: Apache-2.0\n"

GOOD = {
    "platform/platform.cppm": "export module strata.platform;\n\nexport import :clock;\nexport import :page;\n",
    "platform/clock.cppm": "export module strata.platform:clock;\n",
    "platform/clock.posix.cc": "module;\n#include <time.h>\nmodule strata.platform:clock.posix;\nimport :clock;\n",
    "platform/page.cppm": "module;\n#include <cstddef>\nexport module strata.platform:page;\nimport :clock;\n",
    "platform/page.linux.cc": "module;\n#include <sys/mman.h>\nmodule strata.platform:page.linux;\nimport :page;\n"
                              "#ifdef __linux__\n#endif\n",
    "platform/hidden.cppm": "module strata.platform:hidden;  // internal: importers never see it\n",
    "platform/atomic.linux.cppm": "module strata.platform:atomic;\n",
    "mem/mem.cppm": "export module strata.mem;\n\nexport import :bytes;\n",
    "mem/bytes.cppm": '''\
        module;
        #include <sanitizer/asan_interface.h>
        #include <cstddef>
        #include "absl/base/optimization.h"
        export module strata.mem:bytes;

        // Not code: #include <unistd.h>, import strata.pmr; #ifdef __sun
        /* nor this:
        static int x;
        #include <unistd.h>
        */
        export namespace strata::mem {
        struct bytes {
          static constexpr int facts = 1;
        };
        static_assert(sizeof(bytes) == 1, "#include <unistd.h>");
        }
        ''',
    "mem/bytes.cc": "module strata.mem:bytes.impl;\n\nimport :bytes;\n\nimport strata.platform;\n\nnamespace {\nstatic int local;\n}\n",
    "pmr/pmr.cppm": "export module strata.pmr;\n",
    "tests/platform/clock_test.cc": "#include <gtest/gtest.h>\n#include <unistd.h>\nimport strata.platform;\n",
    "tests/platform/page_test.cc": "",
    "tests/platform/hidden_test.cc": "",
    "tests/platform/atomic_test.cc": "",
    "tests/mem/bytes_test.cc": "",
    "tests/fakes/solaris/sys/mman.h": "#ifdef __sun\n#endif\n",
}


class PlantedTree(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        for path, text in GOOD.items():
            self.write(path, text)
        self.write("dev", "#!/bin/bash\n# SPDX-License-Identifier: Apache-2.0\n", licence="")
        self.write("tools/tool.py", "# SPDX-License-Identifier: Apache-2.0\n", licence="")
        self.write("bazel-out/mem/foreign.cc", "import strata.pmr;\n", licence="")

    def write(self, path, text, licence=LICENCE):
        path = self.root / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(licence + textwrap.dedent(text))

    def expect(self, rule, *expected):
        """Each complaint of `rule` begins with and contains what is expected, and no other rule complains beside it."""
        complaints = rule(self.root)
        self.assertEqual(len(complaints), len(expected), complaints)
        for complaint, (place, remedy) in zip(complaints, expected):
            self.assertTrue(complaint.startswith(place + ": "), complaint)
            self.assertIn(remedy, complaint)


class RulesTest(PlantedTree):
    def test_a_good_tree_is_good(self):
        for rule in layering.RULES:
            self.assertEqual(rule(self.root), [], rule.__name__)

    def test_pmr_imports_platform(self):
        self.write("pmr/page_resource.cc", "module strata.pmr:page_resource.impl;\nimport :page_resource;\nimport strata.platform;\n")
        self.expect(layering.floor_imports_only_what_is_below, ("pmr/page_resource.cc:4", "only its own partitions and strata.mem"))

    def test_a_lower_floor_imports_a_higher(self):
        self.write("platform/clock.cppm", "export module strata.platform:clock;\nexport import strata.mem;\n")
        self.write("mem/bytes.cppm", "export module strata.mem:bytes;\nimport strata.pmr;\nimport strata.platform;\n")
        self.expect(layering.floor_imports_only_what_is_below, ("platform/clock.cppm:3", "may not import strata.mem"),
                    ("mem/bytes.cppm:3", "may not import strata.pmr"))

    def test_os_header_above_platform(self):
        self.write("mem/bytes.cc", "module;\n#include <sys/mman.h>\n#  include <unistd.h>\nmodule strata.mem:bytes.impl;\nimport :bytes;\n")
        self.expect(layering.os_headers_only_in_os_units, ("mem/bytes.cc:3", "<sys/mman.h>"), ("mem/bytes.cc:4", "<unistd.h>"))

    def test_os_header_in_a_neutral_unit_of_platform(self):
        self.write("platform/page.cppm", "module;\n#include <sys/mman.h>\nexport module strata.platform:page;\n")
        self.expect(layering.os_headers_only_in_os_units, ("platform/page.cppm:3", "platform/*.{linux,solaris,posix}.cc"))

    def test_os_unit_outside_platform(self):
        self.write("mem/bytes.linux.cc", "module;\n#include <sys/mman.h>\nmodule strata.mem:bytes.linux;\nimport :bytes;\n")
        self.expect(layering.os_headers_only_in_os_units, ("mem/bytes.linux.cc:3", "<sys/mman.h>"))

    def test_local_include_on_a_floor(self):
        self.write("mem/bytes.cc", 'module;\n#include "mem/secret.h"\nmodule strata.mem:bytes.impl;\nimport :bytes;\n')
        self.expect(layering.os_headers_only_in_os_units, ("mem/bytes.cc:3", "it imports"))

    def test_users_import_a_lower_floor(self):
        self.write("examples/job.cc", "import strata.pmr;\nimport strata.platform;\n")
        self.write("tools/ask/main.cc", "import strata.pmr;\nimport strata.mem;\n")
        self.expect(layering.users_import_what_is_for_them, ("examples/job.cc:3", "only strata.pmr"),
                    ("tools/ask/main.cc:3", "may not import strata.mem: only strata.pmr"))

    def test_solaris_unit_includes_what_only_this_machine_has(self):
        self.write("tests/fakes/solaris/include/sys/shm.h", "")
        self.write("platform/page.solaris.cc", "module;\n#include <sys/shm.h>\n#include <sys/prctl.h>\n#include <sys/stat.h>\n"
                   "#include <cstddef>\nmodule strata.platform:page.solaris;\nimport :page;\n")
        self.expect(layering.solaris_units_include_what_solaris_has, ("platform/page.solaris.cc:4", "sys/prctl.h"))

    def test_os_condition(self):
        self.write("examples/job.cc", "#if defined(__linux__) && 1\n#elif 1 && \\\n  defined __sun\n#endif\n"
                                      "int linux;\n#include <linux/x.h>\n")
        self.write("platform/page.cppm", "export module strata.platform:page;\n  # ifdef _WIN32\n#endif\n")
        self.expect(layering.no_os_condition_elsewhere, ("examples/job.cc:2", "__linux__"), ("examples/job.cc:4", "__sun"),
                    ("platform/page.cppm:3", "select()"))

    def test_partition_is_not_the_file_stem(self):
        self.write("mem/bytes.cppm", "export module strata.mem:octets;\n")
        self.write("platform/atomic.linux.cppm", "module strata.platform:atomic.linux;\n")
        self.expect(layering.units_are_named_as_their_files,
                    ("platform/atomic.linux.cppm:2", "it is strata.platform:atomic"), ("mem/bytes.cppm:2", "it is strata.mem:bytes"))

    def test_implementation_of_another_name(self):
        self.write("mem/bytes.cc", "module strata.mem;\nimport :bytes;\n")
        self.write("platform/page.linux.cc", "module strata.platform:page.impl;\nimport :page;\n")
        self.expect(layering.units_are_named_as_their_files,
                    ("platform/page.linux.cc:2", "it is strata.platform:page.linux"), ("mem/bytes.cc:2", "it is strata.mem:bytes.impl"))

    def test_implementation_without_its_interface(self):
        self.write("mem/bytes.cc", "module strata.mem:bytes.impl;\n")
        self.write("mem/lonely.cc", "module strata.mem:lonely.impl;\nimport :lonely;\n")
        self.expect(layering.units_are_named_as_their_files,
                    ("mem/bytes.cc:2", "add `import :bytes;`"), ("mem/lonely.cc:1", "add mem/lonely.cppm"))

    def test_no_module_and_header_on_a_floor(self):
        self.write("mem/bytes.cppm", "int x;\n")
        self.write("mem/bytes.h", "")
        self.expect(layering.units_are_named_as_their_files,
                    ("mem/bytes.cppm:1", "declares module none"), ("mem/bytes.h:1", "make it a partition"))

    def test_primary_forgets_a_partition(self):
        self.write("platform/platform.cppm", "export module strata.platform;\nexport import :page;\n// export import :clock;\n")
        self.expect(layering.primary_lists_every_partition, ("platform/platform.cppm:1", "add `export import :clock;`"))

    def test_primary_out_of_order_or_with_other_imports(self):
        self.write("platform/platform.cppm",
                   "export module strata.platform;\nexport import :page;\nexport import :clock;\nimport :hidden;\n")
        self.expect(layering.primary_lists_every_partition, ("platform/platform.cppm:5", "only re-exports"),
                    ("platform/platform.cppm:4", "alphabetical"))

    def test_no_primary(self):
        (self.root / "mem/mem.cppm").unlink()
        self.expect(layering.primary_lists_every_partition, ("mem/mem.cppm", "primary interface of strata.mem"))

    def test_room_without_test(self):
        (self.root / "tests/mem/bytes_test.cc").unlink()
        (self.root / "tests/platform/atomic_test.cc").unlink()
        self.expect(layering.every_room_has_its_test, ("platform/atomic.linux.cppm:1", "add tests/platform/atomic_test.cc"),
                    ("mem/bytes.cppm:1", "add tests/mem/bytes_test.cc"))

    def test_licence_line_missing(self):
        self.write("mem/bytes.cc", "\n" + LICENCE, licence="")
        self.write("tools/tool.py", LICENCE, licence="")
        self.write("dev", "#!/bin/bash\n", licence="")
        self.expect(layering.files_say_their_licence, ("mem/bytes.cc:1", LICENCE.strip()),
                    ("tools/tool.py:1", "`# SPDX"), ("dev:2", "`# SPDX"))

    def test_local_names_in_an_interface(self):
        self.write("mem/bytes.cppm", '''\
            export module strata.mem:bytes;
            namespace {
            int x;
            }
            static int y;
            [[nodiscard]] inline static int z() { return 1; }
            ''')
        self.write("tests/anywhere.cppm", "export module anywhere;\nnamespace\n{}\n  namespace {}\n")
        self.expect(layering.interfaces_hold_nothing_local, ("mem/bytes.cppm:3", "anonymous namespace"), ("mem/bytes.cppm:6", "`static`"),
                    ("mem/bytes.cppm:7", "`static`"), ("tests/anywhere.cppm:5", "anonymous namespace"))

    def test_include_after_import(self):
        self.write("tests/mem/bytes_test.cc", "import strata.mem;\n#include <gtest/gtest.h>\n")
        self.write("mem/bytes.cppm", "export module strata.mem:bytes;\n#include <cstddef>\n")
        self.expect(layering.includes_come_before_imports, ("mem/bytes.cppm:3", "move it above"),
                    ("tests/mem/bytes_test.cc:3", "#include after line 2"))

    def test_layers_state_their_contract(self):
        contract = "".join("/// %-15sas promised\n" % field for field in layering.CONTRACT)
        layer = "class bytes final : public direct_layer<bytes> {};\n"
        checked = "static_assert(layered<bytes>);\n"
        self.write("pmr/README.md", "| `bytes` | keeper |\n", licence="")
        self.write("pmr/bytes.cppm", contract + layer + checked)
        self.assertEqual(layering.layers_state_their_contract(self.root), [])
        self.write("pmr/bytes.cppm", contract.replace("/// Fork", "/// Fark").replace("Thread safety", "Threads") + layer + checked)
        self.expect(layering.layers_state_their_contract, ("pmr/bytes.cppm:17", "without Thread safety, Fork"))
        self.write("pmr/bytes.cppm", contract + contract.split("\n")[0] + "\n" + layer + checked)
        self.expect(layering.layers_state_their_contract, ("pmr/bytes.cppm:18", "another order"))
        self.write("pmr/bytes.cppm", contract + layer)
        self.expect(layering.layers_state_their_contract, ("pmr/bytes.cppm:17", "nobody checks"))
        self.write("pmr/bytes.cppm", contract + layer + checked)
        self.write("pmr/README.md", "", licence="")
        self.expect(layering.layers_state_their_contract, ("pmr/bytes.cppm:17", "does not list"))

    def test_long_files_are_reported(self):
        self.assertEqual(layering.long_files(self.root), [])
        self.write("mem/bytes.cppm", "export module strata.mem:bytes;\n" + "\n" * 150)
        self.assertEqual(layering.long_files(self.root), ["mem/bytes.cppm: 152 lines, the aim is 150"])


class TargetsTest(PlantedTree):
    def test_a_file_in_no_target(self):
        units = [{"source": path} for path in GOOD if path != "mem/bytes.cc"]
        self.expect(lambda root: layering.every_file_is_built(root, units), ("mem/bytes.cc:1", "add it to mem/BUILD"))

    def test_interface_under_another_name(self):
        unit = {"label": "//mem:bytes", "name": "strata.mem:bytes", "source": "mem/bytes.cppm", "deps": [], "scan": ""}
        scan = {"rules": [{"provides": [{"logical-name": "strata.mem:octets"}]}]}
        self.assertEqual(
            layering.targets_declare_what_units_import([unit], lambda _: json.dumps(scan)),
            ['//mem:bytes: says module = "strata.mem:bytes", but mem/bytes.cppm is strata.mem:octets'])

    def test_real_targets_with_wrong_deps(self):
        units = json.loads(pathlib.Path(self.planted_units).read_text())
        self.assertEqual(
            sorted(layering.targets_declare_what_units_import(units, lambda scan: pathlib.Path(scan).read_text())),
            ["//tests/layering:planted_missing: tests/layering/planted/missing.cc imports strata.planted_base, "
             "which is not among its deps: add its target",
             "//tests/layering:planted_superfluous: none of its units imports strata.planted_base: remove it from deps"])


if __name__ == "__main__":
    TargetsTest.planted_units = sys.argv[1]
    unittest.main(argv=sys.argv[:1])
