# SPDX-License-Identifier: Apache-2.0
"""Claims, in a browser without window: the page's script runs without a word on the console and sees every rect; under the pointer a block says
what it is, and so do blocks drawn together and an arena's own bytes; beside them nothing is said; it is so with 100,000 blocks. And the check
itself notices a script that fails."""

import os
import pathlib
import re
import subprocess
import tempfile
import unittest

from tests.tools import page

BROWSER = "chromium"
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
         "--disable-sync", "--disable-dev-shm-usage", "--enable-logging=stderr", "--dump-dom", "--window-size=1280,900")

# Puts the pointer on what a selector finds and keeps what is said in the document; then somewhere else.
POINT = """<script>
for (const [key, selector] of Object.entries(%s)) {
  const found = document.querySelector(selector), at = found.getBoundingClientRect();
  found.dispatchEvent(new PointerEvent('pointermove', {bubbles: true, clientX: at.x, clientY: at.y}));
  const tip = document.getElementById('tip');
  document.documentElement.dataset[key] = tip.hidden ? 'hidden' : tip.textContent;
}
</script>"""


def opened(text):
    """The page as the browser has it when its scripts have run, and what they said on the console."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # below TEST_TMPDIR the names of its sockets would be too long
        path = pathlib.Path(folder, "page.html")
        path.write_text(text, encoding="utf-8")
        answer = subprocess.run([BROWSER, *FLAGS, "--user-data-dir=%s/profile" % folder, path.as_uri()], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                env=dict(os.environ, HOME=folder, XDG_CONFIG_HOME=folder, XDG_CACHE_HOME=folder, TMPDIR=folder))
    said = [line for line in answer.stderr.decode(errors="replace").splitlines() if "CONSOLE" in line]
    assert answer.returncode == 0 and answer.stdout, answer.stderr
    return page.Elements(answer.stdout.decode()), said


def pointing(text, **selectors):
    quoted = "{%s}" % ", ".join("%s: '%s'" % item for item in selectors.items())
    return text.replace("</body>", POINT % quoted + "</body>")


class InABrowser(unittest.TestCase):
    def test_says_what_lies_under_the_pointer(self):
        text = page.made_of("strata-heap 1 h\narena 0x1000 4096\nused 0x1028 64 50\nmovable 0x1068 96 60\nkept 0x10c8 2000 0\nfree 0x1898 1200 0\nend 1 4\n")
        found, said = opened(pointing(text, used='[data-b$="used"]', movable='[data-b$="movable"]', kept='[data-b$="kept"]', free='[data-b$="free"]',
                                      own='[data-b$="arena"]', beside="h1"))
        self.assertEqual(said, [])
        self.assertEqual(found.attributes["data-rects"], str(len(found.blocks) + len(found.cells)))
        self.assertEqual(found.attributes["data-used"], "used blockaddress0x1028size64 bytesasked50 bytesslack6 bytesoverhead8 bytes")
        self.assertEqual(found.attributes["data-movable"], "movable blockaddress0x1068size96 bytesasked60 bytesslack12 bytesoverhead24 bytes")
        self.assertEqual(found.attributes["data-kept"], "kept blockaddress0x10c8size2,000 bytes")
        self.assertEqual(found.attributes["data-free"], "free blockaddress0x1898size1,200 bytes")
        self.assertEqual(found.attributes["data-own"], "The arena’s ownaddress0x1000size32 bytes")
        self.assertEqual(found.attributes["data-beside"], "hidden")

    def test_says_what_was_drawn_together(self):
        text = page.made_of("strata-heap 1 h\narena 0x1000 4096\n" + "".join("used 0x%x 16 6\n" % (0x1028 + 16 * i) for i in range(200)) +
                            "free 0x1ca8 800 0\nend 1 201\n", "--row=16384")
        found, said = opened(pointing(text, cell="[data-m]:nth-of-type(3)"))
        self.assertEqual(said, [])
        self.assertRegex(found.attributes["data-cell"], r"^4 small blocksaddress0x1[0-9a-f]{3}together64 bytesused24 bytes · 38 %slack8 bytes · 13 %overhead32 bytes · 50 %$")

    def test_opens_a_hundred_thousand_blocks(self):
        text = page.made_of(page.dump_of(arenas=8, blocks=100000))
        found, said = opened(pointing(text, cell="[data-m]"))
        self.assertEqual(said, [])
        self.assertEqual(found.attributes["data-rects"], str(len(found.blocks) + len(found.cells)))
        self.assertGreater(len(found.cells), 1000)
        self.assertRegex(found.attributes["data-cell"], "small block")

    def test_this_notices_a_script_that_fails(self):
        text = page.made_of("strata-heap 1 h\narena 0x1000 4096\nend 1 0\n")
        found, said = opened(text.replace("dataset.rects =", "nothing.rects ="))
        self.assertNotIn("data-rects", found.attributes)
        self.assertTrue(re.search("TypeError", " ".join(said)), said)


if __name__ == "__main__":
    unittest.main()
