# SPDX-License-Identifier: Apache-2.0
"""The rules of the house, each a function from the source tree to a list of complaints that name file, line and remedy."""

import collections
import json
import pathlib
import re

# Floor -> the floor below it, the only module it may import beside its own partitions.
FLOOR_BELOW = {"platform": None, "mem": "strata.platform", "pmr": "strata.mem"}

# Who uses Strata in this tree -> what of it may be imported.
USERS = {"bench": ("strata.pmr",), "examples": ("strata.pmr",), "tools": ("strata.pmr",)}

# Headers that units for Solaris may include: those the fake declares, so that nothing of the machine's own leaks in, and
# this of POSIX, which is the same on both.
FAKE_SOLARIS_HEADERS = "tests/fakes/solaris/include"
POSIX_HEADERS = ("sys/stat.h",)

OS_SUFFIXES = (".linux", ".solaris", ".posix")

OS_MACRO = re.compile(
    r"\b(__linux__|__linux|linux|__gnu_linux__|__ANDROID__|__sun__|__sun|sun|__SVR4|__svr4__|__unix__|__unix|unix|"
    r"_WIN32|_WIN64|WIN32|__CYGWIN__|__APPLE__|__MACH__|__FreeBSD__|__NetBSD__|__OpenBSD__|_AIX|__hpux)\b"
)

# C headers of the tools and libraries that a floor may talk to. Any other <x.h> is the OS's, or has a C++ name: <cerrno>.
TOOL_HEADERS = ("sanitizer/", "valgrind/", "zlib.h")

INTERFACE_LINES, IMPLEMENTATION_LINES = 150, 300

# One `module` or `import` declaration, its parts by name.
DECLARATION = re.compile(r"^(?P<export>export )?(?P<kind>module|import) ?(?P<name>[\w.:]+)? ?(\[\[.*\]\])?;")


class Source:
    """A C++ file of the tree: its path below the root, and its lines without comments and string contents."""

    def __init__(self, root, path):
        self.path = path.relative_to(root)
        self.text = path.read_text(encoding="utf-8")
        self.lines = without_comments(self.text).split("\n")
        self.stem = self.path.name.split(".")[0]
        self.os = next((s for s in OS_SUFFIXES if s + self.path.suffix == "".join(self.path.suffixes)), None)

    def declarations(self):
        """Yields (line number, export, kind, name) of every module and import declaration."""
        for number, line in enumerate(self.lines, 1):
            match = DECLARATION.match(line)
            if match:
                yield number, bool(match["export"]), match["kind"], match["name"] or ""

    def module(self):
        """The (line number, export, name) this unit declares itself to be, or None."""
        for number, export, kind, name in self.declarations():
            if kind == "module" and name and name != ":private":
                return number, export, name
        return None

    def imports(self):
        return [(number, export, name) for number, export, kind, name in self.declarations() if kind == "import"]

    def at(self, number, complaint):
        return "%s:%d: %s" % (self.path, number, complaint)


def without_comments(text):
    """The text with comments and the insides of string literals blanked, line breaks kept. #include "x" stays."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|^#include[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.S | re.M)

    def blank(match):
        found = match.group()
        if found.startswith("#"):
            return found
        if found.startswith("/"):
            return re.sub(r"[^\n]", " ", found)
        return found[0] + found[-1]

    return pattern.sub(blank, text)


def sources(root, *folders, suffixes=(".cppm", ".cc", ".h")):
    """The C++ files in some folders (all, if none is named), sorted. Bazel's links and the consumer's are not followed."""
    found = []
    for folder in folders or sorted(p.name for p in root.iterdir() if p.is_dir() and not p.is_symlink()):
        for path in sorted((root / folder).rglob("*")):
            below = path.relative_to(root).parts
            if path.suffix in suffixes and path.is_file() and not any(p.startswith((".", "bazel-")) for p in below):
                found.append(Source(root, path))
    return found


def floors(root):
    return [(floor, sources(root, floor)) for floor in FLOOR_BELOW if (root / floor).is_dir()]


# --- the rules ---------------------------------------------------------------------------------------------------------


def floor_imports_only_what_is_below(root):
    complaints = []
    for floor, files in floors(root):
        allowed = FLOOR_BELOW[floor]
        for source in files:
            for number, _, name in source.imports():
                if name.startswith(":") or name == allowed:
                    continue
                complaints.append(source.at(number, "the floor `%s` may not import %s: only its own partitions%s" % (
                    floor, name, " and " + allowed if allowed else "")))
    return complaints


def os_headers_only_in_os_units(root):
    complaints = []
    for floor, files in floors(root):
        for source in files:
            if floor == "platform" and source.os:
                continue
            for number, line in enumerate(source.lines, 1):
                match = re.match(r"\s*#\s*include\s*([<\"])([^>\"]+)", line)
                if not match:
                    continue
                bracket, header = match.groups()
                if bracket == "<" and header.endswith(".h") and not header.startswith(TOOL_HEADERS):
                    complaints.append(source.at(number, "<%s> is an OS header: ask `platform` for it in "
                                                "platform/*.{linux,solaris,posix}.cc, or use the C++ header" % header))
                elif bracket == '"' and not header.startswith("absl/"):
                    complaints.append(source.at(number, '"%s": a floor includes no file of this tree, it imports' % header))
    return complaints


def users_import_what_is_for_them(root):
    complaints = []
    for folder, allowed in USERS.items():
        for source in sources(root, folder) if (root / folder).is_dir() else []:
            for number, _, name in source.imports():
                if name.startswith("strata.") and name not in allowed:
                    complaints.append(source.at(number, "`%s` may not import %s: only %s" % (folder, name, " and ".join(allowed))))
    return complaints


def solaris_units_include_what_solaris_has(root):
    complaints = []
    for source in sources(root, "platform") if (root / "platform").is_dir() else []:
        if source.os != ".solaris":
            continue
        for number, line in enumerate(source.lines, 1):
            match = re.match(r"\s*#\s*include\s*<([^>]+\.h)>", line)
            if match and match.group(1) not in POSIX_HEADERS and not (root / FAKE_SOLARIS_HEADERS / match.group(1)).exists():
                complaints.append(source.at(number, "<%s> would be this machine's: declare what Solaris documents in %s/%s" % (
                    match.group(1), FAKE_SOLARIS_HEADERS, match.group(1))))
    return complaints


def no_os_condition_elsewhere(root):
    complaints = []
    for source in sources(root):
        if source.os or source.path.parts[:2] == ("tests", "fakes"):
            continue
        condition = False
        for number, line in enumerate(source.lines, 1):
            condition = bool(re.match(r"\s*#\s*(el)?if", line)) or (condition and source.lines[number - 2].endswith("\\"))
            match = condition and OS_MACRO.search(line)
            if match:
                complaints.append(source.at(number, "%s: which OS it is decides the build (select() in platform/BUILD), "
                                            "not the preprocessor" % match.group()))
    return complaints


def units_are_named_as_their_files(root):
    """x.cppm is :x, x.cc is :x.impl, x.linux.cc is :x.linux and x.linux.cppm is :x; implementations import their room."""
    complaints = []
    for floor, files in floors(root):
        rooms = {s.stem for s in files if s.path.suffix == ".cppm"}
        for source in files:
            if source.path.suffix == ".h":
                complaints.append(source.at(1, "a header on a floor: make it a partition"))
                continue
            module = "strata." + floor
            interface = source.path.suffix == ".cppm"
            primary = interface and source.path.name == floor + ".cppm"
            expected = module if primary else "%s:%s%s" % (module, source.stem, "" if interface else source.os or ".impl")
            number, _, name = source.module() or (1, False, "none")
            if name != expected:
                complaints.append(source.at(number, "declares module %s, by its file name it is %s" % (name, expected)))
            if interface:
                continue
            if source.stem not in rooms:
                complaints.append(source.at(1, "implements a room without interface: add %s/%s.cppm" % (floor, source.stem)))
            elif source.stem != floor and ":" + source.stem not in [name for _, _, name in source.imports()]:
                complaints.append(source.at(number, "does not import its own interface: add `import :%s;`" % source.stem))
    return complaints


def primary_lists_every_partition(root):
    complaints = []
    for floor, files in floors(root):
        partitions = {name.partition(":")[2]
                      for _, export, name in (s.module() or (0, False, "") for s in files if s.path.suffix == ".cppm")
                      if export and ":" in name}
        primary = next((s for s in files if s.path.name == floor + ".cppm"), None)
        if primary is None:
            if partitions:
                complaints.append("%s/%s.cppm: missing, the primary interface of strata.%s" % (floor, floor, floor))
            continue
        listed = []
        for number, export, name in primary.imports():
            if not export or not name.startswith(":"):
                complaints.append(primary.at(number, "`import %s`: a primary only re-exports its partitions" % name))
            else:
                listed.append((number, name[1:]))
        for partition in sorted(partitions - {name for _, name in listed}):
            complaints.append(primary.at(1, "does not re-export :%s: add `export import :%s;`" % (partition, partition)))
        for (_, before), (number, name) in zip(listed, listed[1:]):
            if name < before:
                complaints.append(primary.at(number, "`:%s` comes before `:%s`: keep them in alphabetical order" % (name, before)))
    return complaints


def every_room_has_its_test(root):
    complaints = []
    for floor, files in floors(root):
        for source in files:
            test = pathlib.Path("tests", floor, source.stem + "_test.cc")
            if source.path.suffix == ".cppm" and source.path.name != floor + ".cppm" and not (root / test).exists():
                complaints.append(source.at(1, "a room without test: add %s" % test))
    return complaints


def files_say_their_licence(root):
    complaints = []
    files = [s.path for s in sources(root, suffixes=(".cppm", ".cc", ".h", ".py", ".sh"))]
    files += [p for p in map(pathlib.Path, ("dev", ".ci/run")) if (root / p).exists()]
    for path in files:
        lines = (root / path).read_text(encoding="utf-8").split("\n")
        comment = "//" if path.suffix in (".cppm", ".cc", ".h") else "#"
        licence = comment + " SPDX-License-Identifier: Apache-2.0"
        place = 1 if lines[0].startswith("#!") else 0
        if licence not in lines[place:place + 1]:
            complaints.append("%s:%d: must read `%s`" % (path, place + 1, licence))
    return complaints


def interfaces_hold_nothing_local(root):
    """An inline function that names something local to its interface silently gets the importer's instead."""
    complaints = []
    for source in sources(root, suffixes=(".cppm",)):
        for number, line in enumerate(source.lines, 1):
            if re.match(r"\s*(inline )?namespace\s*\{", line):
                complaints.append(source.at(number, "anonymous namespace in an interface: make its names plain, not "
                                            "exported, or move them to the .cc"))
            elif re.match(r"(\[\[\w+\]\] |export |inline |constexpr |const )*static\b", line):
                complaints.append(source.at(number, "`static` at namespace scope in an interface: leave it out; what is "
                                            "not exported is hidden already"))
    return complaints


# What a layer promises, in the same words and the same order in front of each.
CONTRACT = ("Role", "Upstream", "Owns", "Thread safety", "Alignment", "Size", "Complexity", "Overhead", "Throws", "Deallocate",
            "Equality", "Fork", "Exit", "Signals", "Composes")


def layers_state_their_contract(root):
    """Each layer has the whole contract, states its facts (thread class among them), and is in the floor's table."""
    complaints = []
    readme = root / "pmr" / "README.md"
    table = readme.read_text(encoding="utf-8") if readme.exists() else ""
    for source in sources(root, "pmr", suffixes=(".cppm",)):
        number = next((n for n, line in enumerate(source.lines, 1) if "public direct_layer<" in line), None)
        if number is None:
            continue
        fields = [m.group(1) for m in re.finditer(r"^/// ([A-Z][a-z]+(?: [a-z]+)?)(?=  )", source.text, re.MULTILINE)]
        fields = [field for field in fields if field in CONTRACT]
        missing = [field for field in CONTRACT if field not in fields]
        if missing:
            complaints.append(source.at(number, "a contract without %s: add what is promised" % ", ".join(missing)))
        elif tuple(fields) != CONTRACT:
            complaints.append(source.at(number, "a contract in another order, or a field twice: write %s" % ", ".join(CONTRACT)))
        if not re.search(r"^static_assert\((source|layered|states_facts)<", source.text, re.MULTILINE) and source.stem != "stack":
            complaints.append(source.at(number, "a layer whose facts nobody checks: end with static_assert(layered<…>) or "
                                        "static_assert(source<…>)"))
        if "| `%s` |" % source.stem not in table:
            complaints.append(source.at(number, "a layer that pmr/README.md does not list: add its row"))
    return complaints


def includes_come_before_imports(root):
    complaints = []
    for source in sources(root):
        first = next((number for number, _, kind, name in source.declarations() if kind == "import" or name), None)
        for number, line in enumerate(source.lines, 1):
            if first and number > first and re.match(r"\s*#\s*include\b", line):
                complaints.append(source.at(number, "#include after line %d, where modules begin: move it above" % first))
    return complaints


def targets_declare_what_units_import(units, read_scan):
    """`units` as module_units wrote them; read_scan(path) returns what clang-scan-deps wrote."""
    complaints = []
    targets = collections.OrderedDict()
    for unit in units:
        rules = json.loads(read_scan(unit["scan"]))["rules"]
        required = {r["logical-name"]: unit["source"] for rule in rules for r in rule.get("requires", [])}
        provided = {p["logical-name"] for rule in rules for p in rule.get("provides", [])}
        target = targets.setdefault(unit["label"], {"name": unit["name"], "deps": unit["deps"], "required": {}})
        target["required"].update(required)
        if unit["source"].endswith(".cppm") and provided != {unit["name"]}:
            complaints.append("%s: says module = \"%s\", but %s is %s" % (
                unit["label"], unit["name"], unit["source"], ", ".join(sorted(provided)) or "no interface"))
    for label, target in targets.items():
        for name in sorted(set(target["required"]) - set(target["deps"]) - {target["name"]}):
            complaints.append("%s: %s imports %s, which is not among its deps: add its target" % (
                label, target["required"][name], name))
        for name in sorted(set(target["deps"]) - set(target["required"])):
            complaints.append("%s: none of its units imports %s: remove it from deps" % (label, name))
    return complaints


def every_file_is_built(root, units):
    """OS units are left out: each is built on its own OS only."""
    built = {unit["source"] for unit in units}
    return [source.at(1, "is in no cc_module that its floor's primary leads to: add it to %s/BUILD" % floor)
            for floor, files in floors(root) for source in files
            if source.path.suffix != ".h" and not source.os and str(source.path) not in built]


RULES = (
    floor_imports_only_what_is_below,
    os_headers_only_in_os_units,
    no_os_condition_elsewhere,
    users_import_what_is_for_them,
    solaris_units_include_what_solaris_has,
    units_are_named_as_their_files,
    primary_lists_every_partition,
    every_room_has_its_test,
    files_say_their_licence,
    interfaces_hold_nothing_local,
    layers_state_their_contract,
    includes_come_before_imports,
)


def long_files(root):
    """Not a rule: files over the length at which an idea usually has become two."""
    report = []
    for _, files in floors(root):
        for source in files:
            length, target = source.text.count("\n"), INTERFACE_LINES if source.path.suffix == ".cppm" else IMPLEMENTATION_LINES
            if length > target:
                report.append("%s: %d lines, the aim is %d" % (source.path, length, target))
    return report
