// SPDX-License-Identifier: Apache-2.0
// Claims: a mirror shows the whole slab, in a number of its own; one call maps it and one makes its pages ready; a block
// goes through the mirror its place says, and the pages leave out those before; a mirror without blocks goes when all its
// pages are used, when it is closed, or when there is a newer one, and not before; it faults then, and the slab knows it no
// more. What the OS refuses is said, and the next try finds all as it was.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "tests/mem/faults.h"
#include "tests/os_script/os_script.h"

import strata.mem;

namespace strata::mem {
namespace {

using test::fault_catcher;
using test::os_call;
using test::os_script;

shadow_space& space() {
  shadow_space& all = shadow_space::of_process();
  EXPECT_FALSE(all.open().failed());
  return all;
}

struct ShadowMirrors : testing::Test {
  ShadowMirrors() {
    EXPECT_FALSE(object_.make("test").failed());
    slab_ = slabs_.make(size_class::with(page_bytes() / 2 - 1), object_).slab;
    EXPECT_NE(slab_, nullptr);
    slab_->open_all();
  }

  std::uint32_t open() {
    const shadow_mappings::made made = mirrors_.open(slab_, 0, slab_->pages());
    EXPECT_NE(made.mapping, shadow_mappings::none);
    return made.mapping;
  }
  struct block {
    std::uint32_t mirror;
    shadow_slab::place where;
  };
  /// A block, of half a page.
  block take() {
    const shadow_slab::place where = slab_->choose(false);
    const std::uint32_t number = slab_->mirror_for(where);
    if (number == slab_->next_mirror()) open();
    const std::uint32_t mirror = slab_->mirror(number);
    mirrors_.use(slab_, where, number);
    const std::size_t page = shadow_space::first_page_of(mirror) + where.first;
    space_.write_block(page, {.state = shadow_state::live,
                              .offset = slab_->start_of(where) % page_bytes(),
                              .bytes = slab_->shape().slot_bytes});
    return {mirror, where};
  }
  void give(const block& b) {
    space_.record(shadow_space::first_page_of(b.mirror) + b.where.first).set_state(shadow_state::dead);
    ++space_.strip(b.mirror).leaving;
    slab_->give(b.where);
    mirrors_.leave(b.mirror);
    mirrors_.retire_if_idle(b.mirror);
  }
  char* at(std::uint32_t mirror) const {
    return reinterpret_cast<char*>(space_.base_of_page(shadow_space::first_page_of(mirror)));
  }

  shadow_space& space_ = space();
  page_guards guards_{1000, guard_ground::own};
  shadow_object object_;
  shadow_addresses addresses_{space_, this, "test", 4 * space_.zone_bytes(), {.reuse = shadow_reuse::at_end}};
  shadow_mappings mappings_{space_, object_, addresses_, guards_, 1000};
  shadow_mirrors mirrors_{space_, mappings_};
  shadow_slabs slabs_;
  shadow_slab* slab_ = nullptr;
  fault_catcher catcher_;
};

TEST_F(ShadowMirrors, ShowTheWholeSlab) {
  os_script script;
  const std::uint32_t first = open();
  EXPECT_EQ(script.calls(os_call::mmap), 1U);
  EXPECT_EQ(script.calls(os_call::madvise), 1U);
  const std::uint32_t second = open();
  EXPECT_EQ(space_.strip(first).number, 0U);
  EXPECT_EQ(space_.strip(second).number, 1U);
  EXPECT_EQ(slab_->newest_mirror(), second);
  at(first)[5] = 'x';
  EXPECT_EQ(at(second)[5], 'x');
  EXPECT_EQ(mappings_.count(), 2U);
}

TEST_F(ShadowMirrors, GoWhenAllTheirPagesWereUsed) {
  std::vector<block> blocks;
  for (std::uint32_t p = 0; p < slab_->pages(); ++p) blocks.push_back(take());
  const std::uint32_t mirror = blocks.front().mirror;
  EXPECT_EQ(space_.strip(mirror).live, slab_->pages());
  EXPECT_EQ(space_.strip(mirror).spent, slab_->pages());
  EXPECT_EQ(mappings_.count(), 1U);
  shadow_mirrors::sum all;
  EXPECT_EQ(mirrors_.check(addresses_, all), nullptr);
  EXPECT_EQ(all.mappings, 1U);
  EXPECT_EQ(all.blocks, slab_->pages());
  const block last = blocks.back();
  blocks.pop_back();
  for (const block& b : blocks) give(b);
  EXPECT_EQ(mappings_.count(), 1U);
  EXPECT_FALSE(mirrors_.goes_whole(mirror)) << "it has a block";
  give(last);
  EXPECT_EQ(mappings_.count(), 0U);
  EXPECT_TRUE(fault_catcher::faults(at(mirror)));
  EXPECT_EQ(slab_->newest_mirror(), shadow_slab::no_mirror);
}

TEST_F(ShadowMirrors, StayWhileThereIsMoreToComeThroughThem) {
  const block b = take();
  give(b);
  EXPECT_EQ(mappings_.count(), 1U) << "the other pages are not used yet";
  const std::uint32_t newer = open();
  EXPECT_EQ(mappings_.count(), 1U) << "the newer one serves all";
  EXPECT_TRUE(space_.strip(newer).mapped);
  EXPECT_TRUE(fault_catcher::faults(at(b.mirror)));
}

TEST_F(ShadowMirrors, GoWhenTheyAreClosed) {
  const block b = take();
  open();
  EXPECT_EQ(mappings_.count(), 2U);
  mirrors_.close_idle(slab_);
  EXPECT_EQ(mappings_.count(), 2U) << "the oldest has a block";
  give(b);
  EXPECT_EQ(mappings_.count(), 1U);
  mirrors_.close_idle(slab_);
  EXPECT_EQ(mappings_.count(), 0U);
  const block other = take();
  mirrors_.close_all(slab_);
  EXPECT_EQ(mappings_.count(), 1U) << "with a block, it goes later";
  EXPECT_TRUE(space_.strip(other.mirror).closed);
  give(other);
  EXPECT_EQ(mappings_.count(), 0U);
}

TEST_F(ShadowMirrors, AreLeftOutByPagesThatGoThroughALaterOne) {
  open();
  const shadow_slab::place where = slab_->choose(false);
  const std::uint32_t skipped = slab_->mirror(slab_->mirror_for(where));
  open();
  mirrors_.use(slab_, where, slab_->mirror_for(where) + 1);
  EXPECT_EQ(space_.strip(skipped).spent, 1U);
  EXPECT_EQ(space_.strip(skipped).live, 0U);
  EXPECT_EQ(slab_->unspent_from(where.first), slab_->next_mirror());
}

TEST_F(ShadowMirrors, SayWhatIsRefused) {
  {
    os_script script;
    script.fail(os_call::mmap, 1, ENOMEM);
    EXPECT_EQ(mirrors_.open(slab_, 0, 1).why, shadow_refusal::mappings);
  }
  EXPECT_EQ(slab_->newest_mirror(), shadow_slab::no_mirror);
  {
    os_script script;
    script.fail(os_call::madvise, 1, ENOMEM);
    EXPECT_EQ(mirrors_.open(slab_, 0, 1).why, shadow_refusal::os);
  }
  EXPECT_EQ(mappings_.count(), 1U) << "it is there, without its entries";
  const block b = take();
  EXPECT_EQ(mappings_.count(), 1U);
  EXPECT_EQ(b.mirror, slab_->newest_mirror());
}

}  // namespace
}  // namespace strata::mem
