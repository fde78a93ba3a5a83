# SPDX-License-Identifier: Apache-2.0
"""The matrix tells what is seen from what is not:

  a crash, a report of another misuse, of another byte, or after another report, is not seen
  each detector's own words are
  a word about ordinary work is a false report
  a table that says more, or less, than is so differs, and one written anew does not
"""

import unittest

from tests.misuse import matrix
from tests.misuse.matrix import ASAN, BY_FILL, CANNOT_BE, CRASH, DEBUG, MEMCHECK, PLAIN, SEEN, SILENT, UNFIT, Cell, judge

TOUCH = "touches 0x5b04f0\n"
TWICE = "strata: one: a block comes back that was deallocated before (block 0x5b04f0, 48 bytes aligned to 16, thread 1)\n"
POISONED = "=================================================================\n==7==ERROR: AddressSanitizer: use-after-poison on address {} at pc 0x1\n{} of size 1 at {} thread T0\n"
INVALID = "Invalid {} of size 1\n   at 0x1234: write_to (in /x)\n   by 0x1235: main (in /x)\n Address {} is 8 bytes inside a block of size 64\n"


class Judge(unittest.TestCase):
    def test_takes_no_crash_for_a_report(self):
        self.assertEqual(judge(PLAIN, "double deallocate", Cell("signal 11")), CRASH)
        self.assertEqual(judge(PLAIN, "overflow", Cell("signal 6", TOUCH + "free(): invalid next size (normal)\n")), CRASH)

    def test_takes_a_fitting_sentence(self):
        self.assertEqual(judge(DEBUG, "double deallocate", Cell("signal 6", TWICE)), SEEN)

    def test_takes_no_sentence_about_another_misuse(self):
        self.assertEqual(judge(DEBUG, "interior pointer", Cell("signal 6", TWICE)), UNFIT)

    def test_takes_no_sentence_that_stops_nobody(self):
        self.assertEqual(judge(DEBUG, "double deallocate", Cell("exit 0", TWICE)), UNFIT)

    def test_takes_no_second_report(self):
        first = POISONED.format("0x5b04f0", "READ", "0x5b04f0")
        self.assertEqual(judge(ASAN, "write after deallocate", Cell("exit 1", TOUCH + first + POISONED.format("0x5b04f0", "WRITE", "0x5b04f0"))), UNFIT)

    def test_wants_the_byte_that_was_touched(self):
        for address, expected in (("0x0000005b04f0", SEEN), ("0x5b04f1", UNFIT)):
            said = POISONED.format(address, "WRITE", address)
            self.assertEqual(judge(ASAN, "overflow", Cell("exit 1", TOUCH + said)), expected)
            self.assertEqual(judge(MEMCHECK, "overflow", Cell("exit 98", TOUCH, INVALID.format("write", address))), expected)

    def test_takes_a_fault_at_the_byte_that_was_touched(self):
        said = "AddressSanitizer:DEADLYSIGNAL\n=====\n==7==ERROR: AddressSanitizer: SEGV on unknown address {} (pc 0x1)\n==7==The signal is caused by a WRITE memory access.\n"
        self.assertEqual(judge(ASAN, "write after deallocate", Cell("exit 1", TOUCH + said.format("0x0000005b04f0"))), SEEN)
        self.assertEqual(judge(ASAN, "write after deallocate", Cell("exit 1", TOUCH + said.format("0x000000000000"))), UNFIT)

    def test_tells_reads_from_writes(self):
        self.assertEqual(judge(MEMCHECK, "read after deallocate", Cell("exit 98", TOUCH, INVALID.format("read", "0x5b04f0"))), SEEN)
        self.assertEqual(judge(MEMCHECK, "read after deallocate", Cell("exit 98", TOUCH, INVALID.format("write", "0x5b04f0"))), UNFIT)

    def test_wants_a_foreign_block_named(self):
        unnamed = Cell("signal 6", "strata: other: the pointer is no slot of this pool (block 0x5b04f0, 48 bytes aligned to 16)\n")
        named = Cell("signal 6", "strata: other: a block comes back that is of another memory: one (block 0x5b04f0)\n")
        self.assertEqual(judge(PLAIN, "foreign resource", unnamed), SEEN)
        self.assertEqual(judge(ASAN, "foreign resource", unnamed), UNFIT)
        self.assertEqual(judge(ASAN, "foreign resource", named), SEEN)

    def test_tells_silence_fill_and_what_cannot_be(self):
        self.assertEqual(judge(PLAIN, "wrong size", Cell("exit 0")), SILENT)
        self.assertEqual(judge(DEBUG, "uninitialised read", Cell("exit 3", TOUCH + "what was read is what fills such memory\n")), BY_FILL)
        self.assertEqual(judge(PLAIN, "wrong size", None), CANNOT_BE)


class Parse(unittest.TestCase):
    def test_gives_each_process_its_words(self):
        cells = matrix.parse("== heap / overflow / pid 7 / exit 98\n| touches 0x1\n== heap / underflow / pid 8 / exit 0\n== heap / wrong size / cannot be\n",
                             "==7== Invalid write of size 1\n==7==    at 0x1: main\n==8== other\n")
        self.assertEqual(cells["heap"]["overflow"].text, "touches 0x1\n")
        self.assertEqual(cells["heap"]["overflow"].log, "Invalid write of size 1\n   at 0x1: main\n")
        self.assertEqual(cells["heap"]["underflow"].log, "other\n")
        self.assertIsNone(cells["heap"]["wrong size"])

    def test_hears_what_is_said_of_ordinary_work(self):
        quiet, loud = Cell("exit 0"), Cell("exit 0", log="Invalid read of size 8\n")
        self.assertEqual(matrix.false_reports({"heap": {matrix.ORDINARY: quiet}}), [])
        self.assertEqual(len(matrix.false_reports({"heap": {matrix.ORDINARY: loud}})), 1)
        self.assertEqual(matrix.false_reports({"std::pmr::pool": {matrix.ORDINARY: loud}}), [])


class Table(unittest.TestCase):
    def setUp(self):
        def all_of(mark):
            return {misuse: mark for misuse in matrix.MISUSES}

        self.seen = {"heap": all_of("a"), "std::pmr::pool": all_of("")}
        self.blind = {"heap": all_of("a") | {"overflow": "a!"}, "std::pmr::pool": all_of("a")}
        table = {}
        matrix.merge(table, ASAN, self.seen)
        matrix.merge(table, DEBUG, {"heap": all_of("d*")})
        self.document = "# Misuse\n\n" + matrix.shown(table) + "\nmore\n"

    def test_is_read_as_it_is_written(self):
        self.assertEqual(matrix.differences(self.document, {ASAN: self.seen}), [])
        self.assertEqual(matrix.replaced(self.document, matrix.read_table(self.document)), self.document)

    def test_differs_when_less_is_seen(self):
        self.assertIn("11/11", self.document)
        wrong = matrix.differences(self.document, {ASAN: self.blind})
        self.assertEqual(len(wrong), 2)  # one row, as it is and as it was; std's rows are no claim
        self.assertIn("10/11", wrong[0])

    def test_keeps_the_marks_of_other_modes(self):
        table = matrix.read_table(self.document)
        matrix.merge(table, ASAN, self.blind)
        self.assertEqual(table["heap"]["overflow"], ["d*", "a!"])

    def test_wants_every_subject(self):
        self.assertNotEqual(matrix.differences(self.document, {ASAN: self.seen | {"slabs": self.seen["heap"]}}), [])


unittest.main()
