// SPDX-License-Identifier: Apache-2.0
// Claim: what the conformance kit asks of one layer when memory runs out holds for whole stacks. Upstream fails at its
// first, its second, … request, constructors included, or at random: blocks, contents and figures stay as they were, what
// upstream threw comes through every layer, and the stack works on. (The BUILD file picks these tests of the kit.)
#include <cstddef>
#include <memory_resource>

#include "tests/support/conformance.h"

import strata.pmr;

namespace strata::pmr {
namespace {

using test::Conformance;
using test::facts;
using test::facts_of;
using test::subject;
using test::subject_name;
using upstream = std::pmr::memory_resource;

constexpr std::size_t plenty = std::size_t{1} << 40;
constexpr std::size_t modest = std::size_t{4} << 20;

// What the kit watches, for any thread.
template <class... Entries>
using over_lock = stack<borrowed, synchronized, Entries...>;

template <class... Entries>
over_lock<Entries...> locked_stack(upstream* u, Entries... entries) {
  return over_lock<Entries...>(borrowed{.resource = u}, synchronized{}, entries...);
}

using capped_slabs_debug = over_lock<limit, slabs, debug>;
using slabs_shadow_debug = over_lock<slabs, shadow, debug>;
using slabs_guards_limit = over_lock<slabs, guards, limit>;
using ladder_slabs = over_lock<large_pages, locked, slabs>;
using locked_cache_limit = over_lock<locked, cache, limit>;
using fragments_heap_sizeless = over_lock<fragments, shared_heap, sizeless>;
using pool_debug = over_lock<mempool, debug>;
using heap_slabs = stack<borrowed, heap, synchronized, slabs>;
using heap_heap_limit = stack<borrowed, heap, heap, limit>;

// Both upstreams of a combiner, in two stacks.
struct split_debug {
  explicit split_debug(upstream* u)
      : large(borrowed{.resource = u}, shared_heap{}),
        memory(borrowed{.resource = u}, synchronized{}, slabs{}, size_split{.large = &large}, debug{}) {}
  upstream& operator*() { return memory; }
  using large_type = stack<borrowed, shared_heap>;
  using memory_type = over_lock<slabs, size_split<large_type>, debug>;
  large_type large;
  memory_type memory;
};

struct overflow_slabs {
  explicit overflow_slabs(upstream* u)
      : reserve(borrowed{.resource = u}, synchronized{}),
        memory(borrowed{.resource = u}, synchronized{}, limit{.bytes = modest}, fallback{.second = &reserve}, slabs{}) {
  }
  upstream& operator*() { return memory; }
  using reserve_type = stack<borrowed, synchronized>;
  using memory_type = over_lock<limit, fallback<reserve_type>, slabs>;
  reserve_type reserve;
  memory_type memory;
};

// Keepers above keepers keep what was granted before a refusal.
template <class Layer>
facts keeping(bool returns_everything, bool grows = true) {
  facts known = facts_of<Layer>({.returns_everything = returns_everything, .grows = grows, .exact_on_failure = false});
  if (!grows) known.max_live_bytes = modest;
  return known;
}

INSTANTIATE_TEST_SUITE_P(
    Stacks, Conformance,
    testing::Values(
        subject([](upstream* u) { return locked_stack(u, limit{.bytes = plenty}, slabs{}, debug{}); },
                keeping<capped_slabs_debug>(false), "limit_slabs_debug"),
        subject([](upstream* u) { return locked_stack(u, slabs{}, shadow{.one_in = 3}, debug{}); },
                keeping<slabs_shadow_debug>(false), "slabs_shadow_debug"),
        subject([](upstream* u) { return locked_stack(u, slabs{}, guards{.one_in = 3}, limit{.bytes = plenty}); },
                keeping<slabs_guards_limit>(false), "slabs_guards_limit"),
        subject([](upstream* u) { return locked_stack(u, large_pages{}, locked{.strict = false}, slabs{}); },
                keeping<ladder_slabs>(true), "large_pages_locked_slabs"),
        subject(
            [](upstream* u) {
              return locked_stack(u, locked{.strict = false}, cache{.item_bytes = 256}, limit{.bytes = plenty});
            },
            keeping<locked_cache_limit>(false), "locked_cache_limit"),
        subject([](upstream* u) { return locked_stack(u, fragments{.max_regions = 64}, shared_heap{}, sizeless{}); },
                keeping<fragments_heap_sizeless>(false), "fragments_heap_sizeless"),
        subject([](upstream* u) { return locked_stack(u, mempool{.segment_bytes = 4 * modest}, debug{}); },
                keeping<pool_debug>(false, false), "mempool_debug"),
        subject([](upstream* u) { return heap_slabs(borrowed{.resource = u}, heap{}, synchronized{}, slabs{}); },
                keeping<heap_slabs>(true), "heap_synchronized_slabs"),
        subject(
            [](upstream* u) {
              return heap_heap_limit(borrowed{.resource = u}, heap{}, heap{.min_arena = 4096}, limit{.bytes = plenty});
            },
            keeping<heap_heap_limit>(false), "heap_heap_limit"),
        subject([](upstream* u) { return split_debug(u); }, keeping<split_debug::memory_type>(false),
                "slabs_size_split_heap_debug"),
        subject([](upstream* u) { return overflow_slabs(u); }, keeping<overflow_slabs::memory_type>(true),
                "limit_fallback_slabs")),
    subject_name);

}  // namespace
}  // namespace strata::pmr
