// SPDX-License-Identifier: Apache-2.0
// Claims: one in n is n on average for each thread, whatever the number of threads; a refusal of each kind is a
// degraded state of its own, with the remedy; what could not be made to fault is one as well.
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <memory_resource>
#include <string>
#include <thread>
#include <vector>

#include "tests/os_script/os_script.h"

import strata.pmr;

namespace strata::pmr {
namespace {

using test::os_call;
using test::os_script;

std::string reasons_of(const shadow_resource<>& memory) {
  std::array<degradation, 8> states{};
  const std::size_t count = memory.degraded(states);
  std::string all;
  for (std::size_t i = 0; i < count; ++i) all += std::string(states[i].reason) + "\n";
  return all;
}

bool says(const shadow_resource<>& memory, const char* what) {
  return reasons_of(memory).find(what) != std::string::npos;
}

TEST(ShadowCalls, DrawForEachThread) {
  shadow_resource<> memory(std::pmr::new_delete_resource(), {.one_in = 50});
  std::vector<std::thread> crew;
  std::array<std::size_t, 3> shadowed{};
  for (std::size_t& mine : shadowed) {
    crew.emplace_back([&memory, &mine] {
      for (int i = 0; i < 20'000; ++i) {
        void* const p = memory.allocate(32, 16);
        if (memory.shadows(p)) ++mine;
        memory.deallocate(p, 32, 16);
      }
    });
  }
  for (std::thread& t : crew) t.join();
  for (const std::size_t each : shadowed) {
    EXPECT_GT(each, 200U);
    EXPECT_LT(each, 600U);
  }
}

TEST(ShadowCalls, SayWhichBudgetIsUsedUp) {
  shadow_resource<> memory(std::pmr::new_delete_resource(), {.max_bytes = 100'000});
  for (int i = 0; i < 4; ++i) memory.deallocate(memory.allocate(90'000, 16), 90'000, 16);
  EXPECT_EQ(reasons_of(memory), "");
  void* const p = memory.allocate(200'000, 16);
  EXPECT_FALSE(memory.shadows(p));
  memory.deallocate(p, 200'000, 16);
  EXPECT_TRUE(says(memory, "raise max_bytes"));
}

TEST(ShadowCalls, SayThatWhatWasDeallocatedCouldNotBeMadeToFault) {
  shadow_resource<> memory(std::pmr::new_delete_resource());
  void* const p = memory.allocate(64, 16);
  {
    os_script script;
    script.fail_always(os_call::madvise, EINVAL);
    script.fail_always(os_call::mprotect, ENOMEM);
    memory.deallocate(p, 64, 16);
  }
  EXPECT_TRUE(says(memory, "could not be made to fault"));
  EXPECT_EQ(memory.figures().exposed, 1U);
}

TEST(ShadowCalls, SayThatGuardsCostMappingsWhereTheOsKnowsNoOthers) {
  os_script script;
  script.fail_advice(102, EINVAL);
  const shadow_resource<> memory(std::pmr::new_delete_resource());
  EXPECT_TRUE(says(memory, "guards cost mappings"));
}

}  // namespace
}  // namespace strata::pmr
