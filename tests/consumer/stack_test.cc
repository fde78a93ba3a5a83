// SPDX-License-Identifier: Apache-2.0
//
// A user's program: builds a stack of Strata's layers and one of its own, and gives it to standard containers and
// threads.
//   - blocks start on cache lines, contents stay, everything is given back;
//   - the user's layer has its row in the report, and its figures add up with its neighbours';
//   - Strata's senseless orders are refused with the user's layers too (see BUILD).
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory_resource>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "absl/strings/str_cat.h"

import consumer.cache_line_adaptor;
import strata.pmr;

namespace consumer {
namespace {

namespace sp = strata::pmr;

TEST(UsersStack, ServesContainersFromSeveralThreads) {
  sp::stack memory{sp::pages{}, sp::heap{}, cache_lines{}, sp::synchronized{}};
  const auto work = [&memory](int first) {
    std::pmr::unordered_map<int, std::pmr::string> names{&memory};
    for (int i = first; i < first + 2'000; ++i)
      names.emplace(i, absl::StrCat("a name too long to lie in the string itself ", i));
    for (int i = first; i < first + 2'000; i += 2) names.erase(i);
    for (const auto& [number, name] : names) {
      EXPECT_EQ(std::string_view(name), absl::StrCat("a name too long to lie in the string itself ", number));
    }
  };
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) threads.emplace_back(work, t * 10'000);
  for (std::thread& thread : threads) thread.join();

  EXPECT_EQ(memory.stats().live, 0U);
  EXPECT_GT(memory.stats().peak, 0U);
  EXPECT_FALSE(memory.check().found());
}

TEST(UsersLayer, StartsBlocksOnCacheLines) {
  sp::stack memory{sp::pages{}, sp::heap{}, cache_lines{}};
  for (std::size_t bytes : {0, 1, 63, 64, 65, 1000}) {
    void* const p = memory.allocate(bytes, 1);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(p) % cache_line_adaptor<>::line, 0U) << bytes;
    memory.deallocate(p, bytes, 1);
  }
}

TEST(UsersLayer, AddsUpWithItsNeighbours) {
  sp::stack memory{sp::pages{}, sp::heap{}, cache_lines{}, sp::synchronized{}};
  void* const p = memory.allocate(100);
  const sp::statistics heap = memory.get<1>().stats();
  const sp::statistics lines = memory.get<2>().stats();
  EXPECT_EQ(lines.live, 100U);
  EXPECT_EQ(lines.overhead, 28U);
  EXPECT_EQ(lines.upstream, heap.live);
  EXPECT_EQ(memory.get<3>().stats().upstream, lines.live);
  const sp::statistics whole = memory.stats();
  EXPECT_EQ(whole.upstream, whole.live + whole.kept + whole.overhead);
  memory.deallocate(p, 100);
}

TEST(UsersLayer, HasItsRowInTheReport) {
  sp::stack memory{sp::pages{}, sp::heap{}, cache_lines{.name = "my own layer"}};
  std::FILE* const file = std::tmpfile();
  ASSERT_NE(file, nullptr);
  memory.write_report(file);
  std::string text(static_cast<std::size_t>(std::ftell(file)), '\0');
  std::rewind(file);
  ASSERT_EQ(std::fread(text.data(), 1, text.size(), file), text.size());
  std::fclose(file);
  EXPECT_NE(text.find("my own layer"), std::string::npos) << text;
}

}  // namespace
}  // namespace consumer
