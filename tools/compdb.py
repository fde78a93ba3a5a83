# SPDX-License-Identifier: Apache-2.0
"""Writes compile_commands.json for clangd and clang-tidy: every unit of this workspace, module units included, as Bazel compiles it.

Run by `./dev compdb`, which builds first, since a unit's command names the BMIs of what it imports.
"""

import json
import pathlib
import re
import subprocess

QUERY = 'mnemonic("CppModule|CppModuleUse|CppCompile", //...)'
SOURCES = (".cppm", ".cc")

# A path below Bazel's own directories, alone or behind a flag: -iquote x, -Ix, -fmodule-file=name=x.
BAZEL_PATH = re.compile(r"^(|-[^=]*=(?:[^=]*=)?|-I|-iquote|-isystem)(external|bazel-out)/")


def bazel(*arguments):
    return subprocess.run(["bazel", *arguments], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout


def command(arguments, roots):
    """The compiler's arguments with paths that hold outside Bazel; without -fmodule-output, so that no tool overwrites a BMI."""
    return [
        BAZEL_PATH.sub(lambda match: match[1] + roots[match[2]] + "/", argument)
        for argument in arguments
        if not argument.startswith("-fmodule-output=")
    ]


def entries(actions, workspace, roots):
    """One entry a source; the first of several targets that compile it stands for all."""
    found = {}
    for action in actions:
        source = next((a for a in action["arguments"] if a.endswith(SOURCES) and not a.startswith(("-", "external/"))), None)
        if source:
            found.setdefault(source, {
                "directory": str(workspace),
                "file": source,
                "arguments": command(action["arguments"], roots),
            })
    return [found[source] for source in sorted(found)]


def main():
    workspace = pathlib.Path(bazel("info", "workspace").strip())
    roots = {
        "external": bazel("info", "output_base").strip() + "/external",
        "bazel-out": bazel("info", "output_path").strip(),
    }
    actions = json.loads(bazel("aquery", "--output=jsonproto", QUERY))["actions"]
    database = entries(actions, workspace, roots)
    (workspace / "compile_commands.json").write_text(json.dumps(database, indent=1) + "\n")
    print("compile_commands.json: %d units" % len(database))


if __name__ == "__main__":
    main()
