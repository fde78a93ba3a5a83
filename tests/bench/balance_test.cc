// SPDX-License-Identifier: Apache-2.0
// Claims: books that add up are not complained about, and each way in which they may not is a sentence; a stack with
// live blocks is wrong, and right when they are back; malloc-shaped calls of a top layer are used, and verified likewise.
#include <gtest/gtest.h>

#include <cstddef>
#include <map>
#include <memory>
#include <memory_resource>
#include <string>
#include <utility>
#include <vector>

import bench;
import strata.pmr;

namespace sp = strata::pmr;

namespace {

/// Pages of which a keeper has 4096 bytes, 100 of them overhead.
std::vector<sp::report::row> books() {
  constexpr std::size_t none = sp::report::no_row;
  const sp::statistics pages{.live = 4096, .kept = 0, .overhead = 904, .upstream = 5000, .live_blocks = 1};
  const sp::statistics keeper{.live = 0, .kept = 3996, .overhead = 100, .upstream = 4096};
  return {{"pages", pages, {}, 0, nullptr, none, none, {}, 0}, {"keeper", keeper, {}, 0, nullptr, 0, none, {}, 0}};
}

std::string after(void (*change)(sp::statistics& pages, sp::statistics& keeper)) {
  auto rows = books();
  change(rows[0].figures, rows[1].figures);
  return bench::imbalance(rows);
}

TEST(Imbalance, IsNoneWhereBooksAddUp) {
  EXPECT_EQ(bench::imbalance(books()), "");
  EXPECT_EQ(bench::imbalance({}), "");
}

TEST(Imbalance, IsFoundWithinALayer) {
  EXPECT_EQ(after([](auto&, auto& keeper) { keeper.kept -= 16; }),
            "keeper took 4096 bytes, but 0 live, 3980 kept and 100 overhead are not that");
  EXPECT_EQ(after([](auto& pages, auto&) { pages.upstream += 1; }),
            "pages took 5001 bytes, but 4096 live, 0 kept and 904 overhead are not that");
}

TEST(Imbalance, IsFoundWhereAPartIsBelowZero) {
  EXPECT_NE(after([](auto&, auto& keeper) { keeper.kept = 4112, keeper.overhead = std::size_t{0} - 16; }), "");
}

TEST(Imbalance, LeavesOutWhatCameFromASecondUpstream) {
  EXPECT_EQ(after([](auto&, auto& keeper) {
              keeper.kept += 1000;
              keeper.upstream += 1000;
              keeper.from_second += 1000;
            }),
            "");
  EXPECT_EQ(after([](auto&, auto& keeper) { keeper.from_second += 1000; }),
            "keeper took 3096 bytes, but pages below it has handed out 4096");
  EXPECT_EQ(after([](auto&, auto& keeper) { keeper.from_second = 5000; }),
            "keeper took 4096 bytes, but 5000 from a second upstream");
}

TEST(Imbalance, IsFoundBetweenLayers) {
  EXPECT_EQ(after([](auto& pages, auto&) { pages.live -= 96, pages.overhead += 96; }),
            "keeper took 4096 bytes, but pages below it has handed out 4000");
}

TEST(Imbalance, IsFoundInLiveBlocks) {
  EXPECT_EQ(after([](auto&, auto& keeper) { keeper.live += 16, keeper.kept -= 16, keeper.live_blocks = 2; }),
            "everything was given back, but keeper says that 16 bytes in 2 blocks are live");
  EXPECT_NE(after([](auto&, auto& keeper) { keeper.live_blocks = 1; }), "") << "of no bytes";
}

TEST(LayerSubject, IsWrongAsLongAsBlocksAreLive) {
  const auto where = bench::stack_of(sp::pages{}, sp::heap{}, sp::synchronized{});
  EXPECT_NO_THROW(where->verify());
  void* const block = where->memory().allocate(100);
  EXPECT_THROW(where->verify(), bench::wrong);
  where->memory().deallocate(block, 100);
  EXPECT_NO_THROW(where->verify());
}

template <class Upstream>
class remembering_resource;

struct remembering {
  template <class Upstream>
  using layer_over = remembering_resource<Upstream>;

  int* sizeless;                 ///< counts the malloc-shaped calls
  const bool* broken = nullptr;  ///< what check() finds
};

/// A keeper that knows sizes by itself.
template <class Upstream>
class remembering_resource final : public sp::direct_layer<remembering_resource<Upstream>> {
  using base = sp::direct_layer<remembering_resource>;

 public:
  using upstream_type = Upstream;
  static constexpr bool thread_safe = false;
  static constexpr std::size_t max_alignment = Upstream::max_alignment;
  static constexpr bool zeroed = false;
  static constexpr bool can_release = false;

  remembering_resource(Upstream* upstream, const remembering& options)
      : base("remembering", upstream), upstream_(upstream), options_(options) {}

  using base::deallocate;
  void* allocate(std::size_t bytes, std::size_t alignment) { return base::allocate(bytes, alignment); }
  void* allocate(std::size_t bytes) {
    ++*options_.sizeless;
    return do_allocate(bytes, alignof(std::max_align_t));
  }
  void deallocate(void* p) {
    ++*options_.sizeless;
    const auto [bytes, alignment] = blocks_.at(p);
    do_deallocate(p, bytes, alignment);
  }

  [[nodiscard]] sp::statistics stats() const noexcept override { return figures_; }
  [[nodiscard]] sp::fault check() const noexcept override {
    return options_.broken != nullptr && *options_.broken ? sp::fault{"planted"} : base::check();
  }

 private:
  friend base;

  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    void* const p = upstream_->allocate(bytes, alignment);
    blocks_[p] = {bytes, alignment};
    figures_.live = figures_.upstream += bytes;
    ++figures_.live_blocks;
    return p;
  }
  void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    upstream_->deallocate(p, bytes, alignment);
    blocks_.erase(p);
    figures_.live = figures_.upstream -= bytes;
    --figures_.live_blocks;
  }

  Upstream* upstream_;
  const remembering options_;
  std::map<void*, std::pair<std::size_t, std::size_t>> blocks_;
  sp::statistics figures_;
};

TEST(LayerSubject, IsWrongWhereCheckFindsAFault) {
  int sizeless = 0;
  bool broken = false;
  const auto where = bench::stack_of(sp::pages{}, remembering{&sizeless, &broken});
  EXPECT_NO_THROW(where->verify());
  broken = true;
  EXPECT_THROW(where->verify(), bench::wrong) << "though its figures add up";
}

TEST(SizelessSubject, UsesTheCallsThatAreShapedLikeMalloc) {
  int sizeless = 0;
  const auto where = bench::sizeless_segment_of(sp::pages{}, remembering{&sizeless});
  EXPECT_TRUE(where->in_segment());
  void* const natural = where->memory().allocate(100, 8);
  void* const aligned = where->memory().allocate(100, 4096);
  EXPECT_EQ(sizeless, 1);
  EXPECT_THROW(where->verify(), bench::wrong);
  where->memory().deallocate(aligned, 100, 4096);
  where->memory().deallocate(natural, 100, 8);
  EXPECT_EQ(sizeless, 3);
  EXPECT_NO_THROW(where->verify());
}

}  // namespace
