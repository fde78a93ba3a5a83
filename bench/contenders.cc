// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <memory>
#include <memory_resource>
#include <span>
#include <string_view>
#include <vector>

module bench:contenders.impl;

import :contenders;
import :peers;
import :published;
import :stack_subject;
import :subject;

import strata.pmr;

namespace sp = strata::pmr;

namespace bench {
namespace {

template <class... Layers>
std::unique_ptr<subject> open_stack() {
  return stack_of(Layers{}...);
}

/// As a service would leave it on: a sample of one block in 512 KiB.
std::unique_ptr<subject> open_tracked_slabs() {
  return stack_of(sp::pages{}, sp::slabs{},
                  sp::tracking{.sample_bytes = std::size_t{512} << 10, .leaks_at_end = false});
}

std::unique_ptr<subject> open_checked_slabs() { return stack_of(sp::pages{}, sp::slabs{.checks = true}); }

/// For all purposes: blocks up to so many bytes in slabs, which are blocks of a heap, the others in that heap itself.
template <std::size_t Small>
class slabs_on_heap final : public subject {
 public:
  [[nodiscard]] std::pmr::memory_resource& memory() noexcept override { return all_; }
  void trim() noexcept override {
    slabs_.trim();
    heap_.trim();
  }
  void verify() const override {
    if (const auto found = all_.check(); found.found()) throw wrong(found.sentence);
  }

 private:
  using heap_type = sp::heap_resource<sp::page_resource, sp::threads::any>;
  using slabs_type = sp::slab_resource<heap_type>;

  sp::page_resource pages_;
  heap_type heap_{&pages_};
  slabs_type slabs_{&heap_, {.largest = Small, .keep_empty = 0}};
  sp::size_split_resource<slabs_type, heap_type> all_{&slabs_, {.large = &heap_, .largest_small = Small}};
};

template <std::size_t Small>
std::unique_ptr<subject> open_slabs_on_heap() {
  return std::make_unique<slabs_on_heap<Small>>();
}

std::unique_ptr<subject> open_shadow(const sp::shadow& options) { return stack_of(sp::pages{}, sp::slabs{}, options); }

/// The standard library's allocator behind the calls that a mempool has.
std::unique_ptr<subject> open_sizeless() {
  return std::make_unique<sizeless_subject<sp::sizeless_adaptor<>>>(false, std::pmr::new_delete_resource());
}

constexpr bool kPeer = true, kShareable = true;

constexpr contender kContenders[] = {
    {"glibc", "operator new", kPeer, kShareable, open_glibc},
    {"mimalloc", "libmimalloc.so.2", kPeer, kShareable, open_mimalloc},
    {"jemalloc", "libjemalloc.so.2", kPeer, kShareable, open_jemalloc},
    {"tcmalloc", "libtcmalloc_minimal.so.4 of gperftools", kPeer, kShareable, open_tcmalloc},
    {"tbb", "libtbbmalloc.so.2", kPeer, kShareable, open_tbb},
    {"std_sync_pool", "std::pmr::synchronized_pool_resource", kPeer, kShareable, open_std_sync_pool},
    {"std_pool", "std::pmr::unsynchronized_pool_resource", kPeer, !kShareable, open_std_pool},
    {"boost_sync_pool", "boost::container::pmr::synchronized_pool_resource", kPeer, kShareable, open_boost_sync_pool},
    {"boost_pool", "boost::container::pmr::unsynchronized_pool_resource", kPeer, !kShareable, open_boost_pool},
    {"boost_dlmalloc", "boost::container::dlmalloc_malloc (dlmalloc 2.8.6)", kPeer, kShareable, open_boost_dlmalloc},
    {"slabs", "strata: pages, slabs", !kPeer, kShareable, open_stack<sp::pages, sp::slabs>},
    {"checked_slabs", "strata: pages, slabs with checks", !kPeer, kShareable, open_checked_slabs},
    {"tracked_slabs", "strata: pages, slabs, tracking of a sample", !kPeer, kShareable, open_tracked_slabs},
    {"large_slabs", "strata: pages, large_pages, slabs", !kPeer, kShareable,
     open_stack<sp::pages, sp::large_pages, sp::slabs>},
    {"one_slabs", "strata: pages, unsynchronized_slabs", !kPeer, !kShareable,
     open_stack<sp::pages, sp::unsynchronized_slabs>},
    {"slabs_on_heap", "strata: slabs up to 1 KiB on a shared_heap, size_split between the two", !kPeer, kShareable,
     open_slabs_on_heap<1024>},
    {"small_slabs_on_heap", "strata: the same, slabs up to 128 bytes", !kPeer, kShareable, open_slabs_on_heap<128>},
    {"shared_heap", "strata: pages, shared_heap", !kPeer, kShareable, open_stack<sp::pages, sp::shared_heap>},
    {"sync_heap", "strata: pages, heap, synchronized", !kPeer, kShareable,
     open_stack<sp::pages, sp::heap, sp::synchronized>},
    {"heap", "strata: pages, heap", !kPeer, !kShareable, open_stack<sp::pages, sp::heap>},
};

/// For mpbench alone.
constexpr contender kMpbenchOnly[] = {
    {"malloc", "malloc and free", kPeer, kShareable, open_malloc},
    {"std_segment", "std::pmr::synchronized_pool_resource over one buffer", kPeer, kShareable, open_std_segment},
    {"segment_heap", "strata: pages, heap of one arena", !kPeer, !kShareable,
     [] {
       return segment_of(sp::pages{}, sp::heap{.min_arena = segment_bytes,
                                               .max_arena = segment_bytes,
                                               .max_bytes = segment_bytes,
                                               .keep_empty = segment_bytes});
     }},
    {"mempool", "strata: pages, mempool", !kPeer, kShareable,
     [] { return segment_of(sp::pages{}, sp::mempool{.segment_bytes = segment_bytes}); }},
    {"mempool_malloc", "strata: pages, mempool, through its malloc-shaped calls", !kPeer, kShareable,
     [] { return sizeless_segment_of(sp::pages{}, sp::mempool{.segment_bytes = segment_bytes}); }},
    {"sizeless", "strata: malloc-shaped calls over operator new, as the mempool has them", !kPeer, kShareable,
     open_sizeless},
};

/// For shadow pages alone. Ratios are to the first, since the second is not shareable.
constexpr contender kShadow[] = {
    {"plain", "strata: pages, slabs", kPeer, kShareable, open_stack<sp::pages, sp::slabs>},
    {"published", "a mapping for each block, over slabs in shared memory", kPeer, !kShareable, open_published},
    {"at_once", "strata: pages, slabs, shadow", !kPeer, kShareable, [] { return open_shadow({}); }},
    {"batched", "strata: the same, guards in batches", !kPeer, kShareable,
     [] { return open_shadow({.guards = sp::shadow_guards::batched}); }},
    {"at_once_bare", "strata: at once, without call stacks", !kPeer, kShareable,
     [] { return open_shadow({.stack_depth = 0}); }},
    {"batched_bare", "strata: batched, without call stacks", !kPeer, kShareable,
     [] { return open_shadow({.guards = sp::shadow_guards::batched, .stack_depth = 0}); }},
    {"sampled", "strata: shadow for one block in 1,000", !kPeer, kShareable,
     [] { return open_shadow({.one_in = 1000}); }},
};

constexpr std::string_view kMpbench[] = {"glibc",         "mimalloc", "jemalloc", "tcmalloc",  "tbb",
                                         "std_sync_pool", "std_pool", "slabs",    "sync_heap", "heap"};

}  // namespace

std::span<const contender> contenders() noexcept { return kContenders; }

std::vector<const contender*> mpbench_contenders() {
  std::vector<const contender*> result;
  for (const std::string_view name : kMpbench) result.push_back(find_contender(name));
  for (const contender& c : kMpbenchOnly) result.push_back(&c);
  return result;
}

std::span<const contender> shadow_contenders() noexcept { return kShadow; }

const contender* find_contender(std::string_view name) noexcept {
  for (const std::span<const contender> among :
       {std::span<const contender>(kContenders), std::span<const contender>(kMpbenchOnly),
        std::span<const contender>(kShadow)}) {
    for (const contender& c : among) {
      if (c.name == name) return &c;
    }
  }
  return nullptr;
}

}  // namespace bench
