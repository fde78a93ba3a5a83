// SPDX-License-Identifier: Apache-2.0
// Claims: every contender that is here serves blocks of all kinds, aligned as its kind promises, and takes them back,
// after which its books add up; trim() leaves it usable; a library or function that is not there makes a contender absent, by name.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <memory_resource>
#include <set>
#include <string>
#include <vector>

#include "tests/support/sanitizer.h"

import bench;

namespace {

struct block {
  void* at;
  std::size_t bytes;
  std::size_t alignment;
};

/// Boost's pools align to 16. Those of libstdc++ 12 lose alignments above 8 wherever the size of their pool is no
/// multiple, and mimalloc 2.0.9 loses those above 128 for some sizes (1024 bytes).
bool promises(const bench::contender& who, std::size_t alignment) {
  const std::string name = who.name;
  if (name.starts_with("std")) return alignment <= 8;
  if (name.starts_with("boost")) return alignment <= 16;
  return name != "mimalloc" || alignment <= 128;
}

class Contenders : public testing::TestWithParam<bench::contender> {};

TEST_P(Contenders, ServeBlocksOfAllKinds) {
  if (strata::test::under_asan && std::string(GetParam().name) == "tcmalloc") {
    GTEST_SKIP() << "it keeps the only pointer to an object of operator new where LeakSanitizer does not look";
  }
  std::unique_ptr<bench::subject> where;
  try {
    where = GetParam().open();
  } catch (const bench::absent& e) {
    ASSERT_TRUE(GetParam().peer);
    GTEST_SKIP() << e.what();
  }
  std::pmr::memory_resource& memory = where->memory();
  const std::size_t most = where->in_segment() ? 100'000 : 3'000'000;
  for (int turn = 0; turn < 2; ++turn) {
    std::vector<block> blocks;
    for (const std::size_t bytes : {1U, 8U, 16U, 24U, 100U, 1024U, 5000U, 70'000U, 3'000'000U}) {
      for (std::size_t alignment = 1; alignment <= 4096 && bytes <= most; alignment *= 2) {
        void* const at = bench::allocate_unsure(memory, bytes, alignment);
        ASSERT_NE(at, nullptr);
        if (promises(GetParam(), alignment)) {
          EXPECT_EQ(reinterpret_cast<std::uintptr_t>(at) % alignment, 0U) << bytes << " aligned to " << alignment;
        }
        std::memset(at, static_cast<int>(blocks.size()), bytes);
        blocks.push_back({at, bytes, alignment});
      }
    }
    for (std::size_t i = 0; i < blocks.size(); ++i) {
      const auto* at = static_cast<const unsigned char*>(blocks[i].at);
      EXPECT_EQ(at[0], static_cast<unsigned char>(i));
      EXPECT_EQ(at[blocks[i].bytes - 1], static_cast<unsigned char>(i));
      memory.deallocate(blocks[i].at, blocks[i].bytes, blocks[i].alignment);
    }
    EXPECT_NO_THROW(where->verify());
    where->trim();
    EXPECT_NO_THROW(where->verify());
  }
}

/// Those of all benchmarks.
std::vector<bench::contender> everyone() {
  std::vector<bench::contender> result(bench::contenders().begin(), bench::contenders().end());
  for (const bench::contender* c : bench::mpbench_contenders()) {
    if (std::none_of(result.begin(), result.end(), [&](const auto& known) { return known.name == c->name; })) {
      result.push_back(*c);
    }
  }
  for (const bench::contender& c : bench::shadow_contenders()) result.push_back(c);
  return result;
}

INSTANTIATE_TEST_SUITE_P(All, Contenders, testing::ValuesIn(everyone()),
                         [](const auto& instance) { return std::string(instance.param.name); });

TEST(ContenderTable, HasEachNameOnce) {
  std::set<std::string> names;
  for (const bench::contender& c : bench::contenders()) {
    EXPECT_TRUE(names.insert(c.name).second) << c.name;
    EXPECT_EQ(bench::find_contender(c.name), &c);
  }
  for (const bench::contender* c : bench::mpbench_contenders()) {
    ASSERT_NE(c, nullptr);
    EXPECT_EQ(bench::find_contender(c->name), c);
  }
  for (const bench::contender& c : bench::shadow_contenders()) {
    EXPECT_TRUE(names.insert(c.name).second) << c.name;
    EXPECT_EQ(bench::find_contender(c.name), &c);
  }
  EXPECT_EQ(bench::find_contender("nobody"), nullptr);
}

TEST(Library, IsAbsentByName) {
  try {
    bench::library("libstrata_does_not_exist.so.7");
    FAIL() << "it exists";
  } catch (const bench::absent& e) {
    EXPECT_NE(std::string(e.what()).find("libstrata_does_not_exist.so.7"), std::string::npos) << e.what();
  }
}

TEST(Library, FindsFunctionsByName) {
  const bench::library c("libc.so.6");
  EXPECT_EQ(c.function<std::size_t(const char*)>("strlen")("four"), 4U);
  EXPECT_THROW(static_cast<void>(c.function<void()>("no_such_function")), bench::absent);
}

}  // namespace
