// SPDX-License-Identifier: Apache-2.0
// Claims: what is written comes back from gzip as it was, nothing, little, and much that hardly compresses; a write that is
// refused, at the first byte or later, is told with its errno; so is memory; the refusal of the caller's own is kept when it
// was first; nothing is asked of any heap, and all memory goes back.
#include <gtest/gtest.h>
#include <stdio.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <string_view>

#include "tests/os_script/os_script.h"
#include "tests/support/counting_default.h"

import strata.mem;
import strata.pmr;

namespace strata::pmr {
namespace {

using test::os_call;
using test::os_script;

/// What gzip makes of a file; "?" when it complains.
std::string unpacked(const std::string& path) {
  std::string text;
  std::FILE* const out = ::popen(("gzip -dc " + path).c_str(), "r");
  if (out == nullptr) return "?";
  std::array<char, 4096> piece;
  for (std::size_t got = 0; (got = std::fread(piece.data(), 1, piece.size(), out)) != 0;)
    text.append(piece.data(), got);
  return ::pclose(out) == 0 ? text : "?";
}

std::string there_and_back(std::string_view text, std::size_t piece) {
  const std::string path = std::string(std::getenv("TEST_TMPDIR")) + "/packed.gz";
  std::FILE* const file = std::fopen(path.c_str(), "w");
  gzip_stream stream(file);
  for (std::size_t i = 0; i < text.size(); i += piece) stream.write(text.substr(i, piece));
  EXPECT_FALSE(stream.finish().failed());
  std::fclose(file);
  return unpacked(path);
}

TEST(GzipStream, BringsBackWhatWasWritten) {
  EXPECT_EQ(there_and_back("", 1), "");
  EXPECT_EQ(there_and_back("a line\n", 1), "a line\n");
  std::mt19937 random(8);
  std::string noise(300'000, '\0');
  for (char& each : noise) each = static_cast<char>(random());
  EXPECT_EQ(there_and_back(noise, 7), noise);
  EXPECT_EQ(there_and_back(noise, noise.size()), noise);
  EXPECT_EQ(there_and_back(std::string(5'000'000, 'x'), 4096), std::string(5'000'000, 'x'));
}

TEST(GzipStream, TellsARefusedWrite) {
  std::FILE* const full = std::fopen("/dev/full", "w");
  ASSERT_NE(full, nullptr);
  gzip_stream little(full);
  little.write("a line\n");
  const mem::os_error refused = little.finish();
  EXPECT_EQ(refused.code, ENOSPC);
  std::clearerr(full);
  std::setvbuf(full, nullptr, _IONBF, 0);
  gzip_stream much(full);
  std::mt19937 random(8);
  std::string noise(300'000, '\0');
  for (char& each : noise) each = static_cast<char>(random());
  much.write(noise);
  const mem::os_error again = much.finish();
  EXPECT_STREQ(again.call, "fwrite");
  EXPECT_EQ(again.code, ENOSPC);
  std::fclose(full);
}

TEST(GzipStream, TellsThatThereIsNoMemory) {
  std::FILE* const file = std::tmpfile();
  os_script script;
  script.fail_always(os_call::mmap, ENOMEM);
  gzip_stream stream(file);
  stream.write("text");
  EXPECT_EQ(stream.finish().code, ENOMEM);
  script.fail_always(os_call::mmap, 0);
  EXPECT_EQ(std::ftell(file), 0);
  std::fclose(file);
}

TEST(GzipStream, KeepsTheFirstRefusal) {
  std::FILE* const file = std::tmpfile();
  gzip_stream stream(file);
  stream.refuse({"first", EIO});
  stream.refuse({"second", ENOMEM});
  stream.write("text");
  EXPECT_STREQ(stream.finish().call, "first");
  std::fclose(file);
}

TEST(GzipStream, AsksNoHeapAndGivesItsMemoryBack) {
  std::FILE* const file = std::tmpfile();
  ASSERT_NE(file, nullptr);
  std::array<char, 1 << 16> buffer;
  std::setvbuf(file, buffer.data(), _IOFBF, buffer.size());
  const os_script script;
  {
    const test::counting_default heap;
    gzip_stream stream(file);
    for (int i = 0; i < 10'000; ++i) stream.write("some text that is written again and again\n");
    EXPECT_FALSE(stream.finish().failed());
    EXPECT_EQ(heap.used(), test::heap_use{});
  }
  EXPECT_EQ(script.mapped_bytes(), 0U);
  std::fclose(file);
}

}  // namespace
}  // namespace strata::pmr
