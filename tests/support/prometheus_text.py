# SPDX-License-Identifier: Apache-2.0
"""A strict reader of Prometheus' text format 0.0.4: what a scraper would refuse, or should have refused, is an error."""

import re

NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?|[+-]?Inf|NaN")
TYPES = ("counter", "gauge", "histogram", "summary", "untyped")


class Refused(Exception):
    pass


def labels_of(text):
    """'{a="b",c="d"}…' -> (labels, rest)."""
    labels = {}
    at = 1
    while text[at : at + 1] != "}":
        if labels:
            if text[at : at + 1] != ",":
                raise Refused("a comma is missing: %r" % text)
            at += 1
        name = LABEL.match(text, at)
        if not name or text[name.end() : name.end() + 2] != '="':
            raise Refused("no label: %r" % text[at:])
        at = name.end() + 2
        value = ""
        while text[at : at + 1] != '"':
            if at >= len(text):
                raise Refused("a value without end: %r" % text)
            if text[at] == "\\":
                escaped = {"\\": "\\", '"': '"', "n": "\n"}.get(text[at + 1 : at + 2])
                if escaped is None:
                    raise Refused("an escape that is none: %r" % text[at:])
                value += escaped
                at += 2
            else:
                value += text[at]
                at += 1
        at += 1
        if name.group() in labels or name.group().startswith("__"):
            raise Refused("a label twice, or reserved: %s" % name.group())
        labels[name.group()] = value
    return labels, text[at + 1 :]


def parse(data):
    """bytes -> {(name, frozenset of labels): value}. Metrics have HELP and TYPE, once, before all their samples, together."""
    text = data.decode("utf-8")
    if not text.endswith("\n"):
        raise Refused("the last line has no end")
    samples, types, helps, closed = {}, {}, set(), set()
    current = None
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP ") or line.startswith("# TYPE "):
            _, what, name, rest = line.split(" ", 3)
            if not NAME.fullmatch(name):
                raise Refused("no name: %r" % line)
            if name != current:
                if name in closed:
                    raise Refused("%s comes in two groups" % name)
                if current is not None:
                    closed.add(current)
                current = name
            if what == "HELP":
                if name in helps or re.search(r"\\(?![\\n])", rest):
                    raise Refused("HELP twice, or ill escaped: %r" % line)
                helps.add(name)
            else:
                if name in types or rest not in TYPES:
                    raise Refused("TYPE twice, or unknown: %r" % line)
                if (rest == "counter") != name.endswith("_total"):
                    raise Refused("a counter is _total, and nothing else is: %r" % line)
                types[name] = rest
            continue
        if line.startswith("#") or not line:
            raise Refused("neither sample nor HELP nor TYPE: %r" % line)
        match = NAME.match(line)
        if not match or match.group() != current or current not in types or current not in helps:
            raise Refused("a sample outside its group: %r" % line)
        rest = line[match.end() :]
        labels, rest = labels_of(rest) if rest.startswith("{") else ({}, rest)
        if not rest.startswith(" ") or not NUMBER.fullmatch(rest[1:]):
            raise Refused("no number: %r" % line)
        key = (current, frozenset(labels.items()))
        if key in samples:
            raise Refused("a series twice: %r" % line)
        samples[key] = float(rest[1:])
    return samples


def value(samples, name, **labels):
    return samples[(name, frozenset(labels.items()))]
