# SPDX-License-Identifier: Apache-2.0
"""Adds up test outcomes over several Bazel runs: the last line printed is `N passed, N failed`.

    count_tests.py FOLDER

Each RUN.exit in FOLDER holds a run's exit code, RUN.json what --build_event_json_file wrote, RUN.seconds, if there, how long it took. A test target counts once a run. One that
did not build, was never run or has no outcome has failed; so has a run that failed without naming a test. Tests that are for another
system than the run's (target_compatible_with) are neither: Bazel skips them and says so.
"""

import json
import pathlib
import sys


def outcome(events, exit_code):
    """Returns (labels passed, labels failed) of one run."""
    tests, passed, skipped = set(), set(), set()
    for event in events:
        identity = event.get("id", {})
        if "testSize" in event.get("configured", {}):
            tests.add(identity["targetConfigured"]["label"])
        if "testSummary" in identity and "testSummary" in event:
            label = identity["testSummary"]["label"]
            tests.add(label)
            if event["testSummary"].get("overallStatus") == "PASSED":
                passed.add(label)
        if event.get("aborted", {}).get("reason") == "SKIPPED" and "targetCompleted" in identity:
            skipped.add(identity["targetCompleted"]["label"])
    failed = tests - passed - skipped
    if exit_code != 0 and not failed:
        failed = {"the build (Bazel's exit code is %d)" % exit_code}
    return passed, failed


def read_events(path):
    """The events Bazel got to write; a run that died leaves a last line cut short, or no file."""
    events = []
    if path.exists():
        for line in path.read_text().splitlines():
            try:
                events.append(json.loads(line))
            except ValueError:
                break
    return events


def main(folder):
    total_passed = total_failed = total_seconds = 0
    for exit_file in sorted(pathlib.Path(folder).glob("*.exit")):
        passed, failed = outcome(read_events(exit_file.with_suffix(".json")), int(exit_file.read_text()))
        seconds_file = exit_file.with_suffix(".seconds")
        seconds = int(seconds_file.read_text()) if seconds_file.exists() else 0
        print("%-20s %4d passed, %d failed, %d seconds" % (exit_file.stem, len(passed), len(failed), seconds))
        for label in sorted(failed):
            print("    failed: " + label)
        total_passed += len(passed)
        total_failed += len(failed)
        total_seconds += seconds
    print("%d seconds" % total_seconds)
    print("%d passed, %d failed" % (total_passed, total_failed))
    return 1 if total_failed or not total_passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
