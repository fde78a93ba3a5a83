# SPDX-License-Identifier: Apache-2.0
"""Claims: a library built without a sanitizer refuses, when the program starts and in one sentence, to serve a program built with it."""

import subprocess
import sys
import unittest

WITH_ASAN, WITH_TSAN = sys.argv[1:3]


class MixedBuild(unittest.TestCase):
    def assert_refused(self, program, sanitizer):
        done = subprocess.run([program], capture_output=True, text=True, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(done.stdout, "")
        self.assertEqual(
            done.stderr,
            f"strata: this program has the runtime of -fsanitize={sanitizer}, and the library in it was built without: "
            "it would see nothing of Strata's memory. Build both with it\n",
        )

    def test_a_program_with_address_sanitizer_is_refused(self):
        self.assert_refused(WITH_ASAN, "address")

    def test_a_program_with_thread_sanitizer_is_refused(self):
        self.assert_refused(WITH_TSAN, "thread")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
