// SPDX-License-Identifier: Apache-2.0
// Claim: layers with two upstreams keep the contract of a memory_resource (tests/support/README.md), whichever of the two
// serves, and whichever way it is known whose a block is.
#include <cstddef>
#include <memory_resource>

#include "tests/pmr/region.h"
#include "tests/support/conformance.h"

import strata.pmr;

namespace strata::pmr {
namespace {

using test::Conformance;
using test::facts;
using test::facts_of;
using test::region;
using test::subject;
using test::subject_name;
using any_resource = std::pmr::memory_resource;

constexpr std::size_t plenty = std::size_t{1} << 40;

// Small blocks, large blocks: a keeper each. Both give everything back at their end.
struct slabs_or_heap {
  explicit slabs_or_heap(any_resource* u) : small(u), large(u) {}
  any_resource& operator*() { return top; }
  slab_resource<> small;
  heap_resource<> large;
  size_split_resource<slab_resource<>, heap_resource<>> top{&small, size_split{.large = &large}};
};

// For any thread, and by alignment too; both pass through.
struct budget_beside_upstream {
  explicit budget_beside_upstream(any_resource* u) : small(u, limit{.bytes = plenty}), large(u) {}
  any_resource& operator*() { return top; }
  limit_adaptor<> small;
  any_resource* large;
  size_split_resource<limit_adaptor<>> top{
      &small, size_split{.large = large, .largest_small = 1000, .largest_small_alignment = 32}};
};

// The first serves a little of it; the second's blocks are remembered.
struct budget_or_upstream {
  explicit budget_or_upstream(any_resource* u) : first(u, limit{.bytes = 50'000}), second(u) {}
  any_resource& operator*() { return top; }
  limit_adaptor<> first;
  any_resource* second;
  fallback_resource<limit_adaptor<>> top{&first, second};
};

// The same for one thread, and both keep.
struct heap_or_heap {
  explicit heap_or_heap(any_resource* u) : first(u, heap{.max_bytes = 200'000}), second(u) {}
  any_resource& operator*() { return top; }
  heap_resource<> first;
  heap_resource<> second;
  fallback_resource<heap_resource<>, heap_resource<>> top{&first, &second};
};

// The first tells its own.
struct region_or_heap {
  explicit region_or_heap(any_resource* u) : first(u, 100'000), second(u) {}
  any_resource& operator*() { return top; }
  region first;
  heap_resource<> second;
  fallback_resource<region, heap_resource<>> top{&first, &second};
};

// One above the other.
struct split_over_fallback {
  explicit split_over_fallback(any_resource* u)
      : small(u, limit{.bytes = plenty}), first(u, limit{.bytes = 300'000}), second(u) {}
  any_resource& operator*() { return top; }
  limit_adaptor<> small;
  limit_adaptor<> first;
  any_resource* second;
  fallback_resource<limit_adaptor<>> large{&first, second};
  size_split_resource<limit_adaptor<>, fallback_resource<limit_adaptor<>>> top{
      &small, size_split{.large = &large, .largest_small = 512}};
};

using reserved_slabs = stack<pages, limit, fallback<page_resource>, slabs>;
struct slabs_with_a_reserve {
  any_resource& operator*() { return memory; }
  page_resource reserve;
  reserved_slabs memory{pages{}, limit{.bytes = std::size_t{4} << 20}, fallback{.second = &reserve}, slabs{}};
};

using split_pages = stack<pages, slabs, size_split<page_resource>>;
struct slabs_beside_pages {
  any_resource& operator*() { return memory; }
  page_resource large;
  split_pages memory{pages{}, slabs{}, size_split{.large = &large, .largest_small = 2048}};
};

using overflowing_pool = stack<pages, mempool, fallback<page_resource>>;
struct pool_with_pages_beside {
  any_resource& operator*() { return memory; }
  page_resource second;
  overflowing_pool memory{pages{}, mempool{.segment_bytes = std::size_t{256} << 10}, fallback{.second = &second}};
};

// A refusal is an exception, which is memory from malloc.
template <class Top>
facts falling_back(bool returns_everything) {
  return facts_of<Top>({.returns_everything = returns_everything, .uses_heap = true});
}

INSTANTIATE_TEST_SUITE_P(
    Combiners, Conformance,
    testing::Values(subject([](any_resource* u) { return slabs_or_heap(u); }, facts_of<decltype(slabs_or_heap::top)>(),
                            "size_split_slabs_or_heap"),
                    subject([](any_resource* u) { return budget_beside_upstream(u); },
                            facts_of<decltype(budget_beside_upstream::top)>({.returns_everything = false}),
                            "size_split_budget_beside_upstream"),
                    subject([](any_resource* u) { return budget_or_upstream(u); },
                            falling_back<decltype(budget_or_upstream::top)>(false), "fallback_budget_or_upstream"),
                    subject([](any_resource* u) { return heap_or_heap(u); },
                            falling_back<decltype(heap_or_heap::top)>(true), "fallback_heap_or_heap"),
                    subject([](any_resource* u) { return region_or_heap(u); },
                            falling_back<decltype(region_or_heap::top)>(true), "fallback_region_or_heap"),
                    subject([](any_resource* u) { return split_over_fallback(u); },
                            falling_back<decltype(split_over_fallback::top)>(false), "size_split_over_fallback"),
                    subject([] { return slabs_with_a_reserve(); }, falling_back<reserved_slabs>(true),
                            "pages_limit_fallback_slabs"),
                    subject([] { return pool_with_pages_beside(); }, falling_back<overflowing_pool>(false),
                            "pages_mempool_fallback"),
                    subject([] { return slabs_beside_pages(); }, facts_of<split_pages>({.returns_everything = false}),
                            "pages_slabs_size_split")),
    subject_name);

// Nothing falls back here, so nothing may come from the heap.
struct never_short {
  explicit never_short(any_resource* u) : first(u), second(u) {}
  any_resource& operator*() { return top; }
  slab_resource<> first;
  slab_resource<> second;
  fallback_resource<slab_resource<>, slab_resource<>> top{&first, &second};
};

INSTANTIATE_TEST_SUITE_P(Unneeded, Conformance,
                         testing::Values(subject([](any_resource* u) { return never_short(u); },
                                                 facts_of<decltype(never_short::top)>(), "fallback_never_short")),
                         subject_name);

}  // namespace
}  // namespace strata::pmr
