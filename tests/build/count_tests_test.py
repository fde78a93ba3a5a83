# SPDX-License-Identifier: Apache-2.0
"""tools/count_tests.py tells the truth about Bazel runs:

  - a target counts once a run, passed only if its summary says PASSED;
  - failed, timed out, flaky, not built, never run: all failed; for another system: neither;
  - a run that fails without naming a test, or leaves no readable events, counts as one failure;
  - the last line is plain, and the exit code is 0 only when something passed and nothing failed.
"""

import contextlib
import io
import json
import pathlib
import tempfile
import unittest

from tools import count_tests


def configured(label, size="MEDIUM"):
    event = {"id": {"targetConfigured": {"label": label}}, "configured": {"targetKind": "a rule"}}
    if size:
        event["configured"]["testSize"] = size
    return event


def summary(label, status):
    return {"id": {"testSummary": {"label": label}}, "testSummary": {"overallStatus": status}}


class OutcomeTest(unittest.TestCase):
    def test_counts_what_passed_and_what_failed(self):
        events = [configured("//:a"), configured("//:b"), summary("//:a", "PASSED"), summary("//:b", "FAILED")]
        self.assertEqual(count_tests.outcome(events, 3), ({"//:a"}, {"//:b"}))

    def test_only_passed_is_passed(self):
        for status in ("FAILED", "TIMEOUT", "FLAKY", "INCOMPLETE", "NO_STATUS", "REMOTE_FAILURE", "FAILED_TO_BUILD"):
            self.assertEqual(count_tests.outcome([configured("//:a"), summary("//:a", status)], 3), (set(), {"//:a"}))

    def test_a_test_without_summary_failed(self):
        self.assertEqual(count_tests.outcome([configured("//:a")], 1), (set(), {"//:a"}))

    def test_a_library_is_no_test(self):
        self.assertEqual(count_tests.outcome([configured("//:lib", size=None)], 0), (set(), set()))

    def test_a_failed_run_that_names_no_test_is_a_failure(self):
        passed, failed = count_tests.outcome([configured("//:a"), summary("//:a", "PASSED")], 1)
        self.assertEqual((len(passed), len(failed)), (1, 1))

    def test_what_is_for_another_system_is_neither(self):
        def completed(reason):
            return {"id": {"targetCompleted": {"label": "//:a"}}, "aborted": {"reason": reason}}

        self.assertEqual(count_tests.outcome([configured("//:a"), completed("SKIPPED")], 0), (set(), set()))
        self.assertEqual(count_tests.outcome([configured("//:a"), completed("ANALYSIS_FAILURE")], 1), (set(), {"//:a"}))

    def test_an_aborted_summary_is_no_pass(self):
        aborted = {"id": {"testSummary": {"label": "//:a"}}, "aborted": {"reason": "INTERNAL"}}
        self.assertEqual(count_tests.outcome([configured("//:a"), aborted], 1), (set(), {"//:a"}))


class MainTest(unittest.TestCase):
    def run_main(self, runs):
        """runs: list of (text of the event file or None, exit code). Returns (exit code, last line)."""
        with tempfile.TemporaryDirectory() as folder:
            for number, (text, code) in enumerate(runs):
                if text is not None:
                    pathlib.Path(folder, "run%d.json" % number).write_text(text)
                pathlib.Path(folder, "run%d.exit" % number).write_text("%d\n" % code)
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                code = count_tests.main(folder)
            return code, output.getvalue().splitlines()[-1]

    def lines(self, *events):
        return "".join(json.dumps(e) + "\n" for e in events)

    def test_adds_up_runs(self):
        good = self.lines(configured("//:a"), summary("//:a", "PASSED"))
        self.assertEqual(self.run_main([(good, 0), (good, 0)]), (0, "2 passed, 0 failed"))

    def test_one_failure_fails_all(self):
        good = self.lines(configured("//:a"), summary("//:a", "PASSED"))
        bad = self.lines(configured("//:a"), summary("//:a", "FAILED"))
        self.assertEqual(self.run_main([(good, 0), (bad, 3)]), (1, "1 passed, 1 failed"))

    def test_no_events_and_torn_events_are_failures(self):
        good = self.lines(configured("//:a"), summary("//:a", "PASSED"))
        self.assertEqual(self.run_main([(None, 2), (good + '{"id": {"tes', 37)]), (1, "1 passed, 2 failed"))

    def test_nothing_run_is_no_success(self):
        self.assertEqual(self.run_main([("", 0)]), (1, "0 passed, 0 failed"))
        self.assertEqual(self.run_main([]), (1, "0 passed, 0 failed"))


if __name__ == "__main__":
    unittest.main()
