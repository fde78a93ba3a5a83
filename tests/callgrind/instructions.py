# SPDX-License-Identifier: Apache-2.0
"""Instructions of a hot pair, counted by callgrind, against golden.txt.

A workload is run with so many pairs and with twice as many; what the difference divides by is the pair alone, without start and end of the
program. Counts are exact and do not depend on what else the machine does.
"""

import re
import shutil
import subprocess

PAIRS = 10_000


class Unable(Exception):
    """The count cannot be taken here; says why."""


def parse(text):
    """Golden numbers by name, from the text of golden.txt."""
    numbers = {}
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            name, number = line.split()
            numbers[name] = float(number)
    return numbers


def updated(text, counted):
    """The text of golden.txt with other numbers, its head kept."""
    head = [line for line in text.splitlines() if line.startswith("#")]
    width = max(len(name) for name in counted)
    return "\n".join(head + [""] + [f"{name:{width}} {number:7.2f}" for name, number in counted.items()]) + "\n"


def compare(golden, counted):
    """Two lists of sentences: what has to be mended, and what has only to be written down."""
    wrong, stale = [], []
    for name in sorted(golden.keys() | counted.keys()):
        if name not in counted:
            wrong.append(f"{name}: in golden.txt, but no workload")
        elif name not in golden:
            wrong.append(f"{name}: not in golden.txt; it takes {counted[name]:.2f}")
        elif counted[name] > golden[name] + 0.005:
            wrong.append(f"{name}: {counted[name]:.2f} instructions a pair, {golden[name]:.2f} are allowed")
        elif counted[name] < golden[name] - 0.005:
            stale.append(f"{name}: {counted[name]:.2f} instructions a pair, {golden[name]:.2f} before; write it down with --update")
    return wrong, stale


def collected(output):
    """Instructions in what callgrind says."""
    found = re.search(r"Collected : (\d+)", output)
    if found is None:
        raise Unable("callgrind said no count:\n" + output)
    return int(found.group(1))


def instructions(program, workload, pairs):
    run = subprocess.run(["valgrind", "--vgdb=no", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, workload, str(pairs)],
                         capture_output=True, text=True)
    if run.returncode != 0:
        raise Unable(f"{workload}: status {run.returncode}\n{run.stderr}")
    return collected(run.stderr)


def count(program):
    """Instructions a pair, by workload."""
    if shutil.which("valgrind") is None:
        raise Unable("no valgrind: install Debian's package valgrind")
    built, *workloads = subprocess.run([program], capture_output=True, text=True, check=True).stdout.split()
    if built != "optimised":
        raise Unable("the numbers are of optimised programs: add --config=opt")
    return {w: round((instructions(program, w, 2 * PAIRS) - instructions(program, w, PAIRS)) / PAIRS, 2) for w in workloads}
