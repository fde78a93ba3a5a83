# SPDX-License-Identifier: Apache-2.0
"""Writes a module's primary interface and all its partitions as one unit, from which importers get one BMI instead of dozens.

    whole_interface.py OUT PRIMARY PARTITION…

Each partition's BMI brings its own copy of what the standard library declares, and an importer pays for every one of them: seconds a
unit. The whole is made for importers alone; objects come from the units themselves, so what is declared here is defined there.

An interface after those it imports, each under its own name and line numbers. Imports of other modules come first, as the language wants
them. What the primary does not re-export stays unexported.
"""

import re
import sys

MODULE = re.compile(r"(?:export )?module ([\w.]+)(?::([\w.]+))?;")
IMPORT = re.compile(r"(export )?import (:?)([\w.]+);")


class Interface:
    """An interface unit, taken apart."""

    def __init__(self, path, text):
        lines = text.split("\n")
        at = next(number for number, line in enumerate(lines) if MODULE.match(line))
        declaration = MODULE.match(lines[at])
        self.path = path
        self.module = declaration[1]
        self.partition = declaration[2] or ""
        self.fragment = [line for line in lines[:at] if line.rstrip() != "module;"]
        self.body_line = at + 2
        self.body = lines[at + 1:]
        self.partitions = {}  # imported -> whether re-exported
        self.modules = []  # lines that import other modules
        for number, line in enumerate(self.body):
            found = IMPORT.match(line)
            if not found:
                continue
            self.body[number] = ""
            if found[2]:
                self.partitions[found[3]] = bool(found[1])
            else:
                self.modules.append(found[0])


def in_order(interfaces):
    """The interfaces, each after those it imports, the primary last."""
    order = []

    def add(name):
        if interfaces[name] not in order:
            for imported in interfaces[name].partitions:
                add(imported)
            order.append(interfaces[name])

    add("")
    return order


def whole(interfaces):
    """The text of the one unit. interfaces: list of Interface."""
    order = in_order({interface.partition: interface for interface in interfaces})
    primary = order[-1]
    out = ["module;"]
    for interface in order:
        out += ['#line 1 "%s"' % interface.path] + interface.fragment
    out.append("export module %s;" % primary.module)
    out += dict.fromkeys(line for interface in order for line in interface.modules)
    for interface in order:
        body = interface.body
        if interface is not primary and not primary.partitions.get(interface.partition):
            body = [re.sub(r"^export ", "", line) for line in body]
        out += ['#line %d "%s"' % (interface.body_line, interface.path)] + body
    return "\n".join(out) + "\n"


def main(out, *paths):
    interfaces = []
    for path in paths:
        with open(path, encoding="utf-8") as source:
            interfaces.append(Interface(path, source.read()))
    with open(out, "w", encoding="utf-8") as target:
        target.write(whole(interfaces))


if __name__ == "__main__":
    main(*sys.argv[1:])
