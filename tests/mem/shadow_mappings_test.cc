// SPDX-License-Identifier: Apache-2.0
// Claims: a piece is mapped at the strips there are, as often as one likes, within the budget; what is refused says why and
// leaves no strip taken; what is retired faults, guards and protections are gone with it, and its strips serve again;
// when the OS refuses that, its pages are guarded, and when it refuses that as well, what is exposed is counted; mappings
// that lie in a row go in one call; another object can be mapped where this one is.
#include <gtest/gtest.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "tests/mem/faults.h"
#include "tests/os_script/os_script.h"

import strata.mem;

namespace strata::mem {
namespace {

using test::fault_catcher;
using test::os_call;
using test::os_script;

constexpr std::size_t pages = 2 * shadow_space::strip_pages;
constexpr int kGuardInstall = 102;

shadow_space& space() {
  shadow_space& all = shadow_space::of_process();
  EXPECT_FALSE(all.open().failed());
  return all;
}

struct ShadowMappings : testing::Test {
  ShadowMappings() {
    EXPECT_FALSE(object_.make("test").failed());
    piece_ = object_.take(pages * page_bytes());
  }
  ~ShadowMappings() override { EXPECT_EQ(page_guards::mappings_claimed(), 0U); }

  std::uint32_t make() {
    const shadow_mappings::made made = mappings_.make(piece_, pages, 1);
    EXPECT_NE(made.mapping, shadow_mappings::none) << static_cast<int>(made.why);
    return made.mapping;
  }
  char* at(std::uint32_t mapping, std::size_t page = 0) const {
    return reinterpret_cast<char*>(space_.base_of_page(shadow_space::first_page_of(mapping) + page));
  }

  shadow_space& space_ = space();
  page_guards guards_{1000, guard_ground::own};
  shadow_object object_;
  shadow_addresses addresses_{space_, this, "test", 4 * space_.zone_bytes(), {.reuse = shadow_reuse::at_end}};
  shadow_mappings mappings_{space_, object_, addresses_, guards_, 6};
  fault_catcher catcher_;
  std::uint64_t piece_ = 0;
};

TEST_F(ShadowMappings, ShowOnePieceAtManyAddressesWithinTheBudget) {
  EXPECT_EQ(mappings_.cost(), 0U);
  std::array<std::uint32_t, 5> made{};
  for (std::uint32_t& mapping : made) mapping = make();
  *at(made[0], pages - 1) = 'x';
  for (const std::uint32_t mapping : made) EXPECT_EQ(*at(mapping, pages - 1), 'x');
  EXPECT_EQ(mappings_.count(), 5U);
  EXPECT_EQ(mappings_.cost(), 6U) << "and one for the zone";
  EXPECT_FALSE(mappings_.has_room());
  EXPECT_EQ(mappings_.make(piece_, pages, 1).why, shadow_refusal::mappings);
  const shadow_strip& strip = space_.strip(made[1]);
  EXPECT_TRUE(strip.mapped);
  EXPECT_EQ(strip.pages, pages);
  EXPECT_EQ(space_.mapping_of(shadow_space::first_page_of(made[1]) + pages - 1), made[1]);
}

TEST_F(ShadowMappings, SayWhatWasRefusedAndTakeNothing) {
  os_script script;
  script.fail(os_call::mmap, 1, ENOMEM);
  EXPECT_EQ(mappings_.make(piece_, pages, 1).why, shadow_refusal::mappings);
  script.fail(os_call::mmap, 1, EPERM);
  const shadow_mappings::made refused = mappings_.make(piece_, pages, 1);
  EXPECT_EQ(refused.why, shadow_refusal::os);
  EXPECT_EQ(refused.error.code, EPERM);
  EXPECT_EQ(mappings_.count(), 0U);
  EXPECT_EQ(addresses_.trim(), 1U) << "all strips are free";
  EXPECT_EQ(mappings_.make(piece_, 5 * shadow_space::zone_pages, 1).why, shadow_refusal::addresses);
}

TEST_F(ShadowMappings, FaultOnceTheyAreRetired) {
  const std::uint32_t goes = make();
  const std::uint32_t stays = make();
  *at(stays) = 'x';
  mappings_.retire(goes);
  EXPECT_TRUE(fault_catcher::faults(at(goes)));
  EXPECT_TRUE(fault_catcher::faults(at(goes, pages - 1)));
  EXPECT_EQ(*at(stays), 'x');
  EXPECT_EQ(mappings_.count(), 1U);
  EXPECT_EQ(mappings_.exposed(), 0U);
}

TEST_F(ShadowMappings, AreGuardedWhereTheOsDoesNotTakeThemAway) {
  const std::uint32_t guarded = make();
  const std::uint32_t exposed = make();
  space_.strip(exposed).spent = 7;
  {
    os_script script;
    script.fail(os_call::mmap, 1, ENOMEM);
    mappings_.retire(guarded);
  }
  EXPECT_TRUE(fault_catcher::faults(at(guarded)));
  EXPECT_EQ(mappings_.exposed(), 0U);
  {
    os_script script;
    script.fail(os_call::mmap, 1, ENOMEM);
    script.fail_always(os_call::madvise, ENOMEM);
    script.fail_always(os_call::mprotect, ENOMEM);
    mappings_.retire(exposed);
  }
  EXPECT_EQ(mappings_.count(), 0U);
  EXPECT_EQ(mappings_.exposed(), 1U) << "a large block; a mirror has as many as were on it";
}

TEST_F(ShadowMappings, CountTheProtectionsThatTheyHave) {
  const std::uint32_t mapping = make();
  {
    os_script script;
    script.fail_advice(kGuardInstall, EINVAL);
    page_guards guards(1000, guard_ground::own);
    ASSERT_EQ(guards.set(at(mapping, 3), page_bytes()).by, page_guards::means::protection);
  }
  mappings_.note_protected(mapping);
  EXPECT_EQ(mappings_.cost(), 1U + 1 + page_guards::mappings_each);
  EXPECT_EQ(page_guards::mappings_claimed(), page_guards::mappings_each);
  mappings_.retire(mapping);
  EXPECT_EQ(mappings_.cost(), 1U);
  EXPECT_EQ(page_guards::mappings_claimed(), 0U);
}

TEST_F(ShadowMappings, GoInARowByOneCall) {
  const std::uint32_t first = make();
  const std::uint32_t second = make();
  ASSERT_EQ(second, first + 2);
  {
    os_script script;
    ASSERT_TRUE(mappings_.clear(first, second + 2));
    EXPECT_EQ(script.calls(os_call::mmap), 1U);
    script.fail(os_call::mmap, 1, ENOMEM);
    EXPECT_FALSE(mappings_.clear(first, second + 2));
  }
  EXPECT_TRUE(fault_catcher::faults(at(first)));
  EXPECT_TRUE(fault_catcher::faults(at(second)));
  mappings_.put_to_rest(first);
  mappings_.put_to_rest(second);
  EXPECT_EQ(mappings_.count(), 0U);
}

TEST_F(ShadowMappings, ShowAnotherObjectWhereThisOneWas) {
  const std::uint32_t one = make();
  const std::uint32_t two = make();
  *at(one) = 'x';
  shadow_object twin;
  ASSERT_FALSE(twin.make_twin(object_, "twin").failed());
  ASSERT_TRUE(mappings_.map_again(twin));
  EXPECT_EQ(*at(two), 0);
  *at(one) = 'y';
  EXPECT_EQ(*at(two), 'y');
  os_script script;
  script.fail(os_call::mmap, 2, ENOMEM);
  EXPECT_FALSE(mappings_.map_again(object_));
  mappings_.seal_off();
  EXPECT_TRUE(fault_catcher::faults(at(one)));
  EXPECT_TRUE(fault_catcher::faults(at(two)));
}

}  // namespace
}  // namespace strata::mem
