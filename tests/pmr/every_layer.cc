// SPDX-License-Identifier: Apache-2.0
#include "tests/pmr/every_layer.h"

#include <cstddef>
#include <memory_resource>
#include <utility>
#include <vector>

#include "tests/support/subject.h"

import strata.pmr;

namespace strata::test {

namespace {

using namespace strata::pmr;  // NOLINT(google-build-using-namespace): it is about all of them

using any_resource = std::pmr::memory_resource;

constexpr std::size_t kib = 1024;
constexpr std::size_t mib = kib * kib;
constexpr std::size_t plenty = std::size_t{1} << 40;

bool relieves_nothing(void* /*argument*/, const shortage& /*what*/) noexcept { return false; }

constexpr auto slabs_over_pages = [] { return stack{pages{}, slabs{}}; };
using slab_stack = decltype(slabs_over_pages());

// Two upstreams, and what stands on both.
template <class Top>
struct forked {
  template <class Make>
  explicit forked(Make make) : top(make(&first, &second)) {}
  any_resource& operator*() { return top; }
  slab_stack first{pages{}, slabs{}};
  slab_stack second{pages{}, slabs{}};
  Top top;
};
using split_type = size_split_resource<slab_stack, slab_stack>;
using fallback_type = fallback_resource<slab_stack, slab_stack>;

// A cache in the pool's segment.
struct cached_mempool {
  any_resource& operator*() { return items; }
  stack<pages, mempool> pool{pages{}, mempool{.segment_bytes = 4 * mib}};
  mempool_cache<page_resource> items{&pool.top(), {.name = "items", .item_bytes = 64}};
};

struct pool_of_objects {
  any_resource& operator*() { return items; }
  page_resource pages;
  object_pool<long, page_resource> items{&pages};
};

// Below a lock, what any thread may use: it has locks and caches for threads of its own.
struct borrowed_slabs {
  any_resource& operator*() { return whole; }
  slab_stack below{pages{}, slabs{}};
  stack<borrowed, heap, synchronized> whole{borrowed{&below}, heap{}, synchronized{}};
};

template <class Make>
subject made(const char* name, Make make) {
  return subject(make, {.thread_safe = true}, name);
}

}  // namespace

std::vector<subject> every_layer() {
  std::vector<subject> all;
  all.push_back(made("page_resource", [] { return page_resource(); }));
  all.push_back(made("explicit_page_resource", [] { return explicit_page_resource(); }));
  all.push_back(made("borrowed_resource", [] { return borrowed_slabs(); }));
  all.push_back(made("segment_resource", [] { return segment_resource({.reserve = false}); }));
  all.push_back(made("slab_resource", slabs_over_pages));
  all.push_back(made("heap_resource_locked", [] { return stack{pages{}, heap{}, synchronized{}}; }));
  all.push_back(made("heap_resource", [] { return stack{pages{}, shared_heap{}}; }));
  all.push_back(made("fragment_resource", [] { return stack{pages{}, fragments{}}; }));
  all.push_back(made("mempool_resource", [] { return stack{pages{}, mempool{.segment_bytes = 4 * mib}}; }));
  all.push_back(made("mempool_cache", [] { return cached_mempool(); }));
  all.push_back(made("named_cache", [] { return stack{pages{}, cache{.item_bytes = 64}}; }));
  all.push_back(made("object_pool", [] { return pool_of_objects(); }));
  all.push_back(made("large_page_adaptor", [] { return stack{pages{}, large_pages{.collapse = false}, slabs{}}; }));
  all.push_back(made("locked_adaptor", [] { return stack{pages{}, slabs{}, locked{.strict = false, .wipe = true}}; }));
  all.push_back(made("limit_adaptor", [] { return stack{pages{}, slabs{}, limit{.bytes = plenty}}; }));
  all.push_back(made("limit_adaptor_relieved", [] {
    return stack{pages{}, slabs{}, relieved_limit{.bytes = plenty, .when_short = relieves_nothing}};
  }));
  all.push_back(made("sizeless_adaptor", [] { return stack{pages{}, slabs{}, sizeless{}}; }));
  all.push_back(made("debug_adaptor", [] { return stack{pages{}, slabs{}, debug{}}; }));
  all.push_back(made("tracking_adaptor", [] { return stack{pages{}, slabs{}, tracking{}}; }));
  all.push_back(made("shadow_resource", [] { return stack{pages{}, slabs{}, shadow{.one_in = 16}}; }));
  all.push_back(made("guard_adaptor", [] { return stack{pages{}, slabs{}, guards{.one_in = 64}}; }));
  all.push_back(made("tracking_adaptor", [] { return stack{pages{}, slabs{}, tracking{.leaks_at_end = false}}; }));
  all.push_back(made("tracking_adaptor_sampling",
                     [] { return stack{pages{}, slabs{}, tracking{.sample_bytes = 1000, .leaks_at_end = false}}; }));
  all.push_back(made("synchronized_adaptor", [] { return stack{pages{}, unsynchronized_slabs{}, synchronized{}}; }));
  all.push_back(made("size_split_resource", [] {
    return forked<split_type>([](slab_stack* small, slab_stack* large) {
      return split_type(small, size_split<slab_stack>{.large = large, .largest_small = 200});
    });
  }));
  all.push_back(made("fallback_resource", [] {
    return forked<fallback_type>([](slab_stack* first, slab_stack* second) { return fallback_type(first, second); });
  }));
  return all;
}

}  // namespace strata::test
