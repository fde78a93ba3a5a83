# SPDX-License-Identifier: Apache-2.0
"""docs/misuse.md says what is seen of each misuse, and by whom; ordinary work is never reported.

    bazel test //tests/misuse:matrix_test                                  # with assertions alone, below a debug_adaptor, under memcheck
    bazel test --config=opt //tests/misuse:matrix_test                     # plain
    bazel test --config=asan_ubsan //tests/misuse:matrix_test              # under AddressSanitizer
    bazel run [--config=…] //tests/misuse:matrix_test -- --update # writes what is so now into the table
"""

import os
import subprocess
import sys

from tests.misuse import matrix

DOCUMENT = "docs/misuse.md"


def modes_of(program):
    built = subprocess.run([program, "--build"], capture_output=True, text=True, check=True).stdout.strip()
    return {"plain": [matrix.PLAIN], "checked": [matrix.CHECKED, matrix.DEBUG, matrix.MEMCHECK], "asan": [matrix.ASAN]}[built]


def main():
    program = sys.argv[1]
    measured, wrong = {}, []
    for mode in modes_of(program):
        try:
            cells = matrix.run(program, mode)
        except matrix.Unable as why:
            sys.exit(f"cannot be run: {why}")
        wrong += [f"{mode}: {sentence}" for sentence in matrix.false_reports(cells)]
        measured[mode] = matrix.marks_of(mode, cells)
        for subject, row in measured[mode].items():
            for misuse, mark in row.items():
                if mark.endswith(matrix.UNFIT):
                    print(f"{subject}, {misuse}, {mode}: what was reported is something else\n{cells[subject][misuse]}")
    table = {}
    for mode, marks in measured.items():
        matrix.merge(table, mode, marks)
    print(matrix.shown(table))
    if "--update" in sys.argv:
        path = os.path.join(os.environ["BUILD_WORKSPACE_DIRECTORY"], DOCUMENT)
        with open(path) as file:
            text = file.read()
        table = matrix.read_table(text)
        for mode, marks in measured.items():
            matrix.merge(table, mode, marks)
        with open(path, "w") as file:
            file.write(matrix.replaced(text, table))
    else:
        with open(DOCUMENT) as file:
            wrong += matrix.differences(file.read(), measured)
    if wrong:
        sys.exit("\n".join(wrong))


main()
