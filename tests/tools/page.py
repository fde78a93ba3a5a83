# SPDX-License-Identifier: Apache-2.0
"""Dumps to make pages of, the pages, and what is in them."""

import html.parser
import os
import random
import subprocess
import tempfile

PROGRAM = "tools/strata"
VOID = {"meta", "br", "input", "rect", "path"}


def dump_of(arenas, blocks, seed=1):
    """A dump with so many blocks, in so many arenas, as heap_resource writes it."""
    generator = random.Random(seed)
    lines, written, start = ["strata-heap 1 made%20up"], 0, 0x7f3a10000000
    for arena in range(arenas):
        at, inside = start + 32, []
        for _ in range(blocks // arenas):
            state = generator.choices(("used", "movable", "kept", "free"), (80, 3, 3, 14))[0]
            size = 16 * generator.choices((3, 4, 7, 40, 300), (40, 40, 15, 4, 1))[0]
            own = {"used": 8, "movable": 24}.get(state, size)
            inside.append("%s 0x%x %d %d" % (state, at + 8, size, generator.randrange(max(size // 2, 1), size - own + 1) if own < size // 2 else 0))
            at += size
        size = (at + 8 - start + 4095) // 4096 * 4096
        if start + size - 8 - at >= 32:
            inside.append("free 0x%x %d 0" % (at + 8, start + size - 8 - at))
        lines += ["arena 0x%x %d" % (start, size)] + inside
        written += len(inside)
        start += size + 0x100000
    return "\n".join(lines + ["end %d %d" % (arenas, written)]) + "\n"


def made_of(dump, *args, status=0):
    """The page of a dump."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("TEST_TMPDIR")) as folder:
        path = folder + "/page.html"
        answer = subprocess.run([PROGRAM, "heapmap", "--html=" + path, *args, "-"], input=dump.encode(), stderr=subprocess.PIPE)
        assert answer.returncode == status, answer
        with open(path, encoding="utf-8") as file:
            return file.read()


class Elements(html.parser.HTMLParser):
    """The rects of a page by what they tell, its arenas, and tags that are not closed in order."""

    def __init__(self, text):
        super().__init__()
        self.blocks, self.cells, self.arenas, self.unbalanced, self.attributes = [], [], [], [], {}
        self._open = []
        self.feed(text)
        self.unbalanced += self._open

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "html":
            self.attributes = attrs
        if tag == "svg":
            self.arenas.append({"title": "", "desc": ""})
        if tag == "rect" and "data-b" in attrs:
            self.blocks.append(attrs["data-b"])
        if tag == "rect" and "data-m" in attrs:
            self.cells.append(attrs["data-m"])
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        if tag in VOID:
            return
        if not self._open or self._open.pop() != tag:
            self.unbalanced.append("/" + tag)

    def handle_data(self, data):
        if self._open and self._open[-1] in ("title", "desc") and "svg" in self._open:
            self.arenas[-1][self._open[-1]] += data
