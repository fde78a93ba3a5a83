// SPDX-License-Identifier: Apache-2.0
// Claims:
//  * lines come whole and in order, the last one with or without newline, whatever the size of the reads; a line too
//  long is left out
//  * names of a directory come each once, however many there are
//  * a path that does not fit, and a file that cannot be opened or read, are empty; interrupted calls are repeated
//  * descriptors are closed
//  * numbers are read when they are nothing but a number; too large is the largest
// White box: the partition is private to the floor, so the test is a unit of it.
module;
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/os_script/os_script.h"
#include "tests/platform/fake_tree.h"

module strata.platform:os_file.test;

import :os_file;

namespace strata::platform {
namespace {

using strata::test::fail_each;
using strata::test::os_call;
using strata::test::os_script;

class OsFile : public strata::test::fake_tree {
 protected:
  path at(std::string_view name) const {
    path full(root());
    full.append(name);
    return full;
  }

  std::vector<std::string> lines(const std::string& text) const {
    write("/file", text);
    std::vector<std::string> all;
    line_reader file(at("/file"));
    for (std::string_view line; file.next(line);) all.emplace_back(line);
    return all;
  }

  using list = std::vector<std::string>;
};

TEST_F(OsFile, ReadsLines) {
  EXPECT_EQ(lines(""), list{});
  EXPECT_EQ(lines("one"), list{"one"});
  EXPECT_EQ(lines("one\n"), list{"one"});
  EXPECT_EQ(lines("one\ntwo"), (list{"one", "two"}));
  EXPECT_EQ(lines("\n\ntwo\n"), (list{"", "", "two"}));
  EXPECT_EQ(lines(std::string("a\0b\nc", 5)), (list{std::string("a\0b", 3), "c"}));
}

TEST_F(OsFile, ReadsLinesAcrossManyBuffers) {
  std::string text;
  list expected;
  for (std::size_t i = 0; i < 3000; ++i) {
    expected.push_back(std::to_string(i) + std::string(i % 97, 'x'));
    text += expected.back() + '\n';
  }
  ASSERT_GT(text.size(), 10 * line_reader::longest_line);
  EXPECT_EQ(lines(text), expected);
}

TEST_F(OsFile, LeavesOutLinesThatAreTooLong) {
  const std::string fits(line_reader::longest_line - 1, 'f');
  for (const std::size_t over :
       {std::size_t{0}, std::size_t{1}, line_reader::longest_line, 3 * line_reader::longest_line + 7}) {
    const std::string too_long(line_reader::longest_line + over, 'l');
    EXPECT_EQ(lines(too_long), list{}) << over;
    EXPECT_EQ(lines(too_long + "\n"), list{}) << over;
    EXPECT_EQ(lines("a\n" + too_long + "\nb\n" + fits + "\nc"), (list{"a", "b", fits, "c"})) << over;
    EXPECT_EQ(lines(too_long + "\n" + too_long + "\nb"), list{"b"}) << over;
  }
}

TEST_F(OsFile, ListsEveryNameOnce) {
  std::multiset<std::string> expected{".", ".."};
  for (int i = 0; i < 500; ++i) {
    const std::string name = "entry" + std::to_string(i) + std::string(static_cast<std::size_t>(i % 40), 'n');
    write("/directory/" + name, "");
    expected.insert(name);
  }
  std::multiset<std::string> found;
  name_reader names(at("/directory"));
  for (std::string_view name; names.next(name);) found.emplace(name);
  EXPECT_EQ(found, expected);
}

TEST_F(OsFile, WhatCannotBeOpenedIsEmpty) {
  write("/file", "text\n");
  path too_long(root());
  for (std::size_t i = 0; i < path::capacity; ++i) too_long.append("/.");
  too_long.append("/file");
  EXPECT_FALSE(too_long.fits());
  std::string_view got;
  for (const path& name : {at("/none"), too_long}) {
    EXPECT_FALSE(line_reader(name).next(got));
    EXPECT_FALSE(name_reader(name).next(got));
  }
  EXPECT_FALSE(line_reader(at("/")).next(got)) << "a directory is no text";
  EXPECT_FALSE(name_reader(at("/file")).next(got)) << "a file has no names";
}

TEST_F(OsFile, PathsHoldWhatFits) {
  path full("");
  for (std::size_t i = 0; i < path::capacity - 1; ++i) full.append("x");
  EXPECT_TRUE(full.fits());
  EXPECT_EQ(full.size(), path::capacity - 1);
  EXPECT_EQ(std::string(full.c_str()).size(), path::capacity - 1);
  full.append("x");
  EXPECT_FALSE(full.fits());
  path part("/a/b");
  part.shorten(2);
  EXPECT_EQ(part.append("/c").view(), "/a/c");
}

TEST_F(OsFile, ReadsWholeLinesUpToAReadThatFailsAndNoneAfter) {
  std::string text;
  for (int i = 10'000; i < 12'000; ++i) text += "line " + std::to_string(i) + '\n';
  write("/file", text);
  std::size_t most = 0;
  const unsigned met = fail_each(os_call::read, {EIO, EISDIR}, [&](os_script& script) {
    std::size_t count = 0;
    line_reader file(at("/file"));
    for (std::string_view line; file.next(line); ++count) ASSERT_EQ(line, "line " + std::to_string(10'000 + count));
    std::string_view after;
    EXPECT_FALSE(file.next(after)) << "an end is final";
    if (script.failed(os_call::read) == 0) EXPECT_EQ(count, 2000U);
    if (script.calls(os_call::read) == 1) EXPECT_EQ(count, 0U);
    most = std::max(most, count);
  });
  EXPECT_GT(met, 8U);
  EXPECT_EQ(most, 2000U);
}

TEST_F(OsFile, RepeatsInterruptedCallsAndClosesWhatItOpened) {
  write("/file", "17\n");
  for (const os_call call : {os_call::open, os_call::read}) {
    const unsigned met = fail_each(call, {EINTR}, [&](os_script& script) {
      std::uint64_t value = 0;
      EXPECT_TRUE(read_number(at("/file"), value));
      EXPECT_EQ(value, 17U);
      EXPECT_EQ(script.calls(os_call::close), 1U);
    });
    EXPECT_EQ(met, 1U);
  }
}

TEST_F(OsFile, ClosesOnceAlsoWhenClosingIsInterrupted) {
  write("/file", "17\n");
  os_script script;
  script.fail(os_call::close, 1, EINTR);
  std::uint64_t value = 0;
  EXPECT_TRUE(read_number(at("/file"), value));
  EXPECT_EQ(script.calls(os_call::close), 1U);
}

TEST_F(OsFile, NumbersAreNothingButANumber) {
  std::uint64_t value = 5;
  for (const char* no : {"", " ", "-1", "+1", "1k", "0x10", "1 2", "max", "\n", "1.5"}) {
    EXPECT_FALSE(parse_number(no, value)) << no;
    EXPECT_EQ(value, 5U) << no;
  }
  const std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
  for (const auto& [text, expected] : {std::pair{"0", std::uint64_t{0}},
                                       {" 42\t", 42},
                                       {"007", 7},
                                       {"18446744073709551615", most},
                                       {"18446744073709551616", most},
                                       {"99999999999999999999999999", most}}) {
    EXPECT_TRUE(parse_number(text, value)) << text;
    EXPECT_EQ(value, expected) << text;
  }
  EXPECT_TRUE(parse_number("8000000", value, 16));
  EXPECT_EQ(value, std::uint64_t{1} << 27);
}

TEST_F(OsFile, CutsWords) {
  std::string_view text = "a::b";
  EXPECT_EQ(cut(text, ':'), "a");
  EXPECT_EQ(cut(text, ':'), "");
  EXPECT_EQ(cut(text, ':'), "b");
  EXPECT_EQ(cut(text, ':'), "");
  EXPECT_EQ(text, "");
}

}  // namespace
}  // namespace strata::platform
