# SPDX-License-Identifier: Apache-2.0
"""What is seen of eleven misuses, by whom: runs the program `misuse`, judges what came of each, and keeps the table in docs/misuse.md.

Seen is what was reported in words that fit, and stopped the program or made its status tell. A crash without such words is none. The report of a
touch has to be about the very byte that was touched.
"""

import os
import re
import subprocess
import tempfile

PLAIN, CHECKED, DEBUG, ASAN, MEMCHECK = "plain", "checked", "debug", "ASan", "memcheck"
MODES = {"p": PLAIN, "c": CHECKED, "d": DEBUG, "a": ASAN, "m": MEMCHECK}
LETTERS = {mode: letter for letter, mode in MODES.items()}

MISUSES = ["write after deallocate", "read after deallocate", "overflow", "underflow", "double deallocate", "wrong size", "wrong alignment",
           "foreign resource", "interior pointer", "uninitialised read", "use after release"]
ORDINARY = "ordinary work"

# Outcomes, and how a cell shows them behind the mode's letter.
SEEN, BY_FILL, CRASH, UNFIT, SILENT, CANNOT_BE = "", "*", "!", "?", None, "/"

MEMCHECK_STATUS = 98
FILL_STATUS = 3


def _touch(kind):
    """A report of a read or write of the very byte, by AddressSanitizer or memcheck, or by the machine through them."""
    return [rf"=+\n==\d+==ERROR: AddressSanitizer: (?:use-after-poison|heap-use-after-free|heap-buffer-overflow) on address TOUCHED .*\n{kind.upper()} of size",
            rf"AddressSanitizer:DEADLYSIGNAL\n=+\n==\d+==ERROR: AddressSanitizer: (?:SEGV|BUS) on unknown address TOUCHED .*\n==\d+==The signal is caused by a {kind.upper()} ",
            rf"Invalid {kind} of size \d\n(?:   .*\n)* *Address TOUCHED is ",
            r"Process terminating with default action of signal 11 \(SIGSEGV\)\n (?:Access not within|Bad permissions for) mapped region at address TOUCHED\n"]


_OF_NO_BLOCK = [r"strata: .*: a pointer comes back that is of no block",
                r"strata: .*: deallocated a block that lies in no region of this allocator",
                r"strata: .*: the pointer is no slot of this pool",
                r"strata: .*: the pointer is no live block of this cache",
                r"strata: .*: not a block of this (?:heap|resource)"]
_TWICE = [r"strata: .*: a block comes back that was deallocated before",
          r"strata: .*: (?:the (?:block|slot) is|deallocated a block that is) free already",
          r"strata: .*: the block was deallocated twice"]

# What fits, by misuse: one of these has to begin the first report.
FITTING = {
    "write after deallocate": _touch("write") + [r"strata: one: a block was written after it was deallocated",
                                                 r"strata: one: use after free: a store to a block"],
    "read after deallocate": _touch("read") + [r"strata: one: use after free: a load from a block"],
    "overflow": _touch("write") + [r"strata: one: a block was written beyond its end"],
    "underflow": _touch("write") + [r"strata: one: a block was written before its start",
                                    r"strata: one: not a block of this heap, or the word in front of it was overwritten"],
    "double deallocate": _TWICE + _OF_NO_BLOCK + [r"free\(\): double free detected",
                                   r"=+\n==\d+==ERROR: AddressSanitizer: attempting double-free",
                                   r"Invalid free\(\) / delete"],
    "wrong size": [r"strata: .*another size (?:or alignment )?than it", r"strata: .*: deallocated a block with more bytes than it has",
                   r"=+\n==\d+==ERROR: AddressSanitizer: new-delete-type-mismatch"],
    "wrong alignment": [r"strata: .*another (?:size or )?alignment than it"],
    "foreign resource": [r"strata: .*: a block comes back that is of another memory: (?:one|pooled)\b"],
    "interior pointer": [r"strata: .*: a pointer comes back that lies inside a block", r"strata: .*: deallocated a pointer into a block, not its start",
                         r"strata: .*, but not the start of a slot", r"strata: .*: an address inside a block",
                         r"=+\n==\d+==ERROR: AddressSanitizer: attempting free on address which was not malloc",
                         r"Invalid free\(\) / delete"] + _OF_NO_BLOCK,
    "uninitialised read": [r"Conditional jump or move depends on uninitialised value\(s\)\n   at .*read_from"],
    "use after release": _touch("write") + _TWICE + _OF_NO_BLOCK + [
        r"strata: one: destroyed with live blocks", r"strata: one: use after its memory ended: a store to a block"],
}
# Without a debug layer and a detector, a resource need not know of others. (Checked builds do: tests/pmr/grounds_test.cc.)
FITTING_PLAIN = {"foreign resource": _OF_NO_BLOCK}


class Unable(Exception):
    """It cannot be run here; says why."""


class Cell:
    """What came of one misuse."""

    def __init__(self, end, text="", log=""):
        self.end = end  # "exit 0", "signal 6", …
        self.text = text  # what it said
        self.log = log  # what memcheck said of it

    def __repr__(self):
        return f"{self.end}\n{self.text}{self.log}"


def parse(output, log=""):
    """Cells by subject and misuse; None where there cannot be one."""
    logs = {}
    for pid, line in re.findall(r"^==(\d+)== ?(.*)$", log, re.MULTILINE):
        logs.setdefault(pid, []).append(line + "\n")
    cells = {}
    cell = None
    for line in output.splitlines():
        if line.startswith("== "):
            subject, misuse, *rest = line[3:].split(" / ")
            cell = None
            if rest != ["cannot be"]:
                cell = Cell(rest[1], log="".join(logs.get(rest[0].removeprefix("pid "), [])))
            cells.setdefault(subject, {})[misuse] = cell
        elif cell is not None:
            cell.text += line[2:] + "\n"
    return cells


def judge(mode, misuse, cell):
    if cell is None:
        return CANNOT_BE
    touched = re.search(r"^touches 0x0*([0-9a-f]+)$", cell.text, re.MULTILINE)
    said = re.sub(r"^touches .*\n", "", cell.text, flags=re.MULTILINE)
    if misuse in ("read after deallocate", "uninitialised read") and cell.end == f"exit {FILL_STATUS}" and mode == DEBUG:
        return BY_FILL
    fitting = FITTING[misuse] + (FITTING_PLAIN.get(misuse, []) if mode in (PLAIN, CHECKED) else [])
    if touched:
        fitting = [f.replace("TOUCHED", "0x0*" + touched.group(1)) for f in fitting]
    fits = re.compile("|".join(fitting), re.IGNORECASE)
    reports = [report for report in (said, cell.log.lstrip("\n")) if report]
    if cell.end != "exit 0" and reports and all(fits.match(report) for report in reports):
        return SEEN
    if cell.end == "exit 0":
        return UNFIT if reports else SILENT
    # What malloc says of itself was not looked for.
    return UNFIT if any("strata: " in r or "ERROR: " in r or "Invalid" in r or "uninitialised" in r for r in reports) else CRASH


def run(program, mode):
    """Cells by subject and misuse in a mode."""
    command = [program] + (["--watched"] if mode == DEBUG else [])
    with tempfile.NamedTemporaryFile("r") as log:
        if mode == MEMCHECK:
            # Without the pipes for a debugger: they lie in /tmp by process number, which sandboxes beside one another have in common.
            command = ["valgrind", "--vgdb=no", "--tool=memcheck", "-q", "--leak-check=no", f"--error-exitcode={MEMCHECK_STATUS}", f"--log-file={log.name}"] + command
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace",
                                  env=os.environ | {"ASAN_OPTIONS": "detect_leaks=0:symbolize=0:handle_abort=0"})
        except FileNotFoundError as why:
            raise Unable(f"no {command[0]}: install Debian's package {command[0]}") from why
        cells = parse(done.stdout, log.read())
    if done.returncode != 0 or not cells:
        raise Unable(f"{' '.join(command)}: status {done.returncode}\n{done.stderr}")
    return cells


def is_strata(subject):
    return not subject.startswith("std::")


def false_reports(cells):
    """Of ordinary work nothing may be said. (UBSan has something to say of std's pool: libstdc++ 12 does not align as it was asked to.)"""
    return [f"{subject}: ordinary work was reported:\n{c[ORDINARY]}" for subject, c in cells.items()
            if is_strata(subject) and (c[ORDINARY].end != "exit 0" or c[ORDINARY].text or c[ORDINARY].log)]


# --- the table: for each subject and misuse the marks of those modes that see it, each mode's letter with its outcome ---


def marks_of(mode, cells):
    """{subject: {misuse: mark}}: "a", "a!", "/", or "" where it was silent."""
    marks = {}
    for subject, of_subject in cells.items():
        row = marks[subject] = {}
        for misuse in MISUSES:
            outcome = judge(mode, misuse, of_subject[misuse])
            row[misuse] = "" if outcome is SILENT else outcome if outcome == CANNOT_BE else LETTERS[mode] + outcome
    return marks


def merge(table, mode, marks):
    """Puts a mode's marks into a table in place of those it had."""
    for subject in list(table):
        for misuse in MISUSES:
            table[subject][misuse] = [m for m in table[subject][misuse] if m[0] != LETTERS[mode] and m != CANNOT_BE or
                                      m == CANNOT_BE and subject not in marks]
    for subject, row in marks.items():
        cells = table.setdefault(subject, {misuse: [] for misuse in MISUSES})
        for misuse, mark in row.items():
            if mark:
                cells[misuse].append(mark)


def count(row, modes):
    """How many misuses of a row these modes see, of how many there can be."""
    possible = [cell for cell in row.values() if CANNOT_BE not in cell]
    letters = {LETTERS[m] for m in modes}
    seen = [cell for cell in possible if any(m[0] in letters and m[1:] in (SEEN, BY_FILL) for m in cell)]
    return f"{len(seen)}/{len(possible)}" if seen or modes in ((PLAIN,), (CHECKED,)) else "–"


HEAD = "| subject |"


def shown(table):
    """The table as Markdown."""
    sums = [(PLAIN,), (CHECKED,), (DEBUG,), (ASAN,), (MEMCHECK,), (ASAN, MEMCHECK)]
    lines = ["| " + " | ".join(["subject"] + MISUSES + [" or ".join(s) for s in sums]) + " |"]
    lines.append("|---" * (1 + len(MISUSES) + len(sums)) + "|")
    for subject, row in table.items():
        cells = [" ".join(sorted(row[misuse], key=lambda m: ("/" + "".join(MODES)).index(m[0]))) or "–" for misuse in MISUSES]
        totals = [count(row, s) for s in sums]
        lines.append("| " + " | ".join([subject] + cells + totals) + " |")
    return "\n".join(lines) + "\n"


def read_table(text):
    """The table in a document."""
    rows = [line.strip("|").split("|") for line in _table_lines(text)[2:]]
    return {row[0].strip(): {misuse: [] if cell.strip() == "–" else cell.split() for misuse, cell in zip(MISUSES, row[1:])} for row in rows}


def replaced(text, table):
    """The document with another table."""
    old = _table_lines(text)
    return text.replace("\n".join(old) + "\n", shown(table)) if old else text + "\n" + shown(table)


def _table_lines(text):
    lines = text.splitlines()
    starts = [i for i, line in enumerate(lines) if line.startswith(HEAD)]
    if not starts:
        return []
    end = starts[0]
    while end < len(lines) and lines[end].startswith("|"):
        end += 1
    return lines[starts[0]:end]


_NOT_CLAIMED = [LETTERS[mode] + outcome for mode in (PLAIN, CHECKED) for outcome in (CRASH, UNFIT)]


def _claims(table):
    """What is claimed: nothing of std's resources, nor how a plain program dies without a word, which is malloc's affair."""
    return {subject: {misuse: [m for m in marks if m not in _NOT_CLAIMED] for misuse, marks in row.items()}
            for subject, row in table.items() if is_strata(subject)}


def differences(document, measured):
    """Sentences: where the table in the document is not what it would be with the measured modes."""
    told, now = read_table(document), read_table(document)
    for mode, marks in measured.items():
        merge(now, mode, marks)
    told, now = shown(_claims(told)).splitlines(), shown(_claims(now)).splitlines()
    return [f"not in the document: {line}" for line in now if line not in told] + [f"no longer so: {line}" for line in told if line not in now]
