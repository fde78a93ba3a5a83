// SPDX-License-Identifier: Apache-2.0
// Claims: a block that leaves has a free slot and a record that says so; blocks on pages in a row get one guard, those on
// mirrors that go with them one call and none; without a guard a block leaves all the same and is counted; in protection
// each row counts its mappings; guards are set again over another mapping, and what was about to leave does.
#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "tests/mem/faults.h"
#include "tests/os_script/os_script.h"

import strata.mem;

namespace strata::mem {
namespace {

using means = page_guards::means;
using test::fault_catcher;
using test::os_call;
using test::os_script;

constexpr int kGuardInstall = 102;

shadow_space& space() {
  shadow_space& all = shadow_space::of_process();
  EXPECT_FALSE(all.open().failed());
  return all;
}

struct parts {
  parts() {
    EXPECT_FALSE(object.make("test").failed());
    slab = slabs.make(size_class::with(page_bytes() / 2 - 1), object).slab;
    EXPECT_NE(slab, nullptr);
    slab->open_all();
  }

  /// The page of a block.
  std::uint32_t take() {
    const shadow_slab::place where = slab->choose(false);
    const std::uint32_t number = slab->mirror_for(where);
    if (number == slab->next_mirror()) EXPECT_EQ(mirrors.open(slab, 0, slab->pages()).why, shadow_refusal::none);
    const std::size_t page = shadow_space::first_page_of(slab->mirror(number)) + where.first;
    mirrors.use(slab, where, number);
    slabs.took(slab);
    all.write_block(page, {.state = shadow_state::live,
                           .offset = slab->start_of(where) % page_bytes(),
                           .bytes = slab->shape().slot_bytes});
    return static_cast<std::uint32_t>(page);
  }
  std::vector<std::uint32_t> take_pages(std::size_t count) {
    std::vector<std::uint32_t> pages(count);
    for (std::uint32_t& page : pages) page = take();
    std::sort(pages.begin(), pages.end());
    return pages;
  }
  void is_leaving(std::uint32_t page) {
    all.record(page).set_state(shadow_state::leaving);
    ++all.strip(all.mapping_of(page)).leaving;
  }
  [[nodiscard]] bool faults(std::uint32_t page) const { return fault_catcher::faults(all.base_of_page(page)); }
  [[nodiscard]] const char* check() const {
    shadow_mirrors::sum of;
    const char* const wrong = mirrors.check(addresses, of);
    return wrong != nullptr ? wrong : slabs.check();
  }

  shadow_space& all = space();
  page_guards guards{100, guard_ground::own};
  shadow_object object;
  shadow_addresses addresses{all, this, "test", 4 * all.zone_bytes(), {.reuse = shadow_reuse::at_end}};
  shadow_mappings mappings{all, object, addresses, guards, 1000};
  shadow_mirrors mirrors{all, mappings};
  shadow_slabs slabs;
  shadow_exits exits{all, guards, mappings, mirrors, slabs};
  shadow_slab* slab = nullptr;
  fault_catcher catcher;
};

TEST(ShadowExits, FreeTheSlotOfABlock) {
  parts p;
  const std::uint32_t page = p.take();
  p.is_leaving(page);
  const means how = p.guards.set(p.all.base_of_page(page), page_bytes()).by;
  p.exits.leave(page, how);
  EXPECT_EQ(p.all.record(page).state(), shadow_state::dead);
  EXPECT_TRUE(p.faults(page));
  EXPECT_EQ(p.slab->live(), 0U);
  EXPECT_EQ(p.slabs.held(), 0U);
  EXPECT_EQ(p.exits.guarded(), 1U);
  EXPECT_EQ(p.exits.calls(), 1U);
  EXPECT_EQ(p.check(), nullptr);
}

TEST(ShadowExits, GuardARowByOneCall) {
  parts p;
  const std::vector<std::uint32_t> pages = p.take_pages(10);
  ASSERT_EQ(pages.back() - pages.front(), 9U);
  std::vector<std::uint32_t> batch;
  for (const std::uint32_t page : pages) {
    if (page == pages[4]) continue;  // two rows, with a block between
    p.is_leaving(page);
    batch.push_back(page);
  }
  p.exits.leave_all(batch);
  EXPECT_EQ(p.exits.calls(), 2U);
  EXPECT_EQ(p.exits.guarded(), 9U);
  EXPECT_EQ(p.slab->live(), 1U);
  for (const std::uint32_t page : pages) EXPECT_EQ(p.faults(page), page != pages[4]);
  EXPECT_EQ(p.check(), nullptr);
}

TEST(ShadowExits, TakeMirrorsAwayThatGoWithTheirBlocks) {
  for (const bool refused : {false, true}) {
    parts p;
    const std::vector<std::uint32_t> batch = p.take_pages(2 * std::size_t{p.slab->pages()});  // two mirrors, full
    ASSERT_EQ(p.mappings.count(), 2U);
    for (const std::uint32_t page : batch) p.is_leaving(page);
    os_script script;
    if (refused) script.fail(os_call::mmap, 1, ENOMEM);
    p.exits.leave_all(batch);
    EXPECT_EQ(script.calls(os_call::mmap), refused ? 3U : 1U) << "both at once, else each";
    EXPECT_EQ(script.calls(os_call::madvise), 0U);
    EXPECT_EQ(p.exits.calls(), 1U);
    EXPECT_EQ(p.exits.guarded(), batch.size());
    EXPECT_EQ(p.mappings.count(), 0U);
    EXPECT_EQ(p.slab->live(), 0U);
    for (const std::uint32_t page : {batch.front(), batch.back()}) EXPECT_TRUE(p.faults(page));
    EXPECT_EQ(p.check(), nullptr);
  }
}

TEST(ShadowExits, CountWhatCouldNotBeGuarded) {
  parts p;
  const std::vector<std::uint32_t> batch = p.take_pages(3);
  for (const std::uint32_t page : batch) p.is_leaving(page);
  {
    os_script script;
    script.fail_always(os_call::madvise, ENOMEM);
    script.fail_always(os_call::mprotect, ENOMEM);
    p.exits.leave_all(batch);
  }
  EXPECT_EQ(p.exits.exposed(), 3U);
  EXPECT_EQ(p.exits.guarded(), 0U);
  EXPECT_EQ(p.all.record(batch[1]).state(), shadow_state::exposed);
  EXPECT_EQ(p.slab->live(), 0U);
  EXPECT_FALSE(p.faults(batch[0]));
  EXPECT_EQ(p.check(), nullptr);
}

TEST(ShadowExits, CountTheMappingsOfProtection) {
  os_script script;
  script.fail_advice(kGuardInstall, EINVAL);
  {
    parts p;
    const std::vector<std::uint32_t> pages = p.take_pages(6);
    const std::vector<std::uint32_t> batch{pages[0], pages[1], pages[3]};
    for (const std::uint32_t page : batch) p.is_leaving(page);
    p.exits.leave_all(batch);
    EXPECT_EQ(p.exits.calls(), 2U);
    EXPECT_EQ(page_guards::mappings_claimed(), 2 * page_guards::mappings_each);
    EXPECT_EQ(p.mappings.cost(), 1U + 1 + 2 * page_guards::mappings_each);
    EXPECT_TRUE(p.faults(pages[1]));
  }
  EXPECT_EQ(page_guards::mappings_claimed(), 0U);
}

TEST(ShadowExits, SetGuardsAgainOverAnotherMapping) {
  for (const bool leaving : {true, false}) {
    parts p;
    const std::vector<std::uint32_t> pages = p.take_pages(8);
    const std::vector<std::uint32_t> batch{pages[1], pages[2], pages[5]};
    for (const std::uint32_t page : batch) p.is_leaving(page);
    p.exits.leave_all(batch);
    p.is_leaving(pages[7]);
    ASSERT_TRUE(p.mappings.map_again(p.object));
    EXPECT_FALSE(p.faults(pages[1]));
    p.exits.guard_again(p.all.mapping_of(pages[0]), leaving);
    for (const std::uint32_t page : batch) EXPECT_TRUE(p.faults(page));
    EXPECT_FALSE(p.faults(pages[0]));
    EXPECT_EQ(p.faults(pages[7]), leaving);
    EXPECT_EQ(p.slab->live(), leaving ? 4U : 5U);
    EXPECT_EQ(p.check(), nullptr);
  }
}

}  // namespace
}  // namespace strata::mem
