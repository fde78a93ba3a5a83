# SPDX-License-Identifier: Apache-2.0
"""The hot pairs take no more instructions than golden.txt allows.

    ./dev instructions
    ./dev instructions --update      # writes golden.txt; its head says when one may
"""

import os
import sys

from tests.callgrind import instructions

GOLDEN = "tests/callgrind/golden.txt"


def main():
    program = sys.argv[1]
    try:
        counted = instructions.count(program)
    except instructions.Unable as why:
        sys.exit(f"cannot count: {why}")
    for name, number in counted.items():
        print(f"{name:26} {number:7.2f}")
    if "--update" in sys.argv:
        golden = os.path.join(os.environ["BUILD_WORKSPACE_DIRECTORY"], GOLDEN)
        with open(golden) as file:
            text = file.read()
        with open(golden, "w") as file:
            file.write(instructions.updated(text, counted))
        return
    with open(GOLDEN) as file:
        wrong, stale = instructions.compare(instructions.parse(file.read()), counted)
    print("\n".join(stale))
    if wrong:
        sys.exit("\n".join(wrong))


main()
