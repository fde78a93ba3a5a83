// SPDX-License-Identifier: Apache-2.0
// Claim: every layer, and every stack the documentation names, keeps the contract of a memory_resource
// (tests/support/README.md).
#include <memory_resource>

#include "tests/support/conformance.h"

import strata.mem;
import strata.pmr;

namespace strata::pmr {
namespace {

using test::Conformance;
using test::facts;
using test::facts_of;
using test::subject;
using test::subject_name;
using upstream = std::pmr::memory_resource;

// Blocks pass through: what is not deallocated stays with upstream.
template <class Layer>
facts passing() {
  return facts_of<Layer>({.returns_everything = false});
}

// What waits under an inspector goes back to upstream before a request is refused.
template <class Layer>
facts giving_back() {
  return facts_of<Layer>({.exact_on_failure = !mem::inspected()});
}

using locked_heap = stack<borrowed, heap, synchronized>;
using pages_cache = stack<pages, cache>;
using pages_heap = stack<pages, heap>;
using pages_heap_lock = stack<pages, heap, synchronized>;
using pages_slabs = stack<pages, slabs>;
using pages_limit_slabs = stack<pages, limit, slabs>;
using pages_slabs_limit = stack<pages, slabs, limit>;
using pages_locked_slabs = stack<pages, locked, slabs>;
using whole_ladder = stack<explicit_pages, large_pages, locked, slabs>;
using pages_only = stack<pages>;
using pages_fragments = stack<pages, fragments>;
using pages_locked_mempool = stack<pages, locked, mempool>;
using pages_fragments_heap_lock = stack<pages, fragments, heap, synchronized>;

INSTANTIATE_TEST_SUITE_P(
    Layers, Conformance,
    testing::Values(subject([] { return page_resource(); }, passing<page_resource>(), "page_resource"),
                    subject([] { return page_resource({.prefault = true, .label = nullptr}); },
                            passing<page_resource>(), "page_resource_prefaulted"),
                    subject([](upstream* u) { return borrowed_resource({.resource = u}); },
                            passing<borrowed_resource>(), "borrowed_resource"),
                    subject([](upstream* u) { return heap_resource(u); }, facts_of<heap_resource<>>(), "heap_resource"),
                    subject([](upstream* u) { return heap_resource(u, shared_heap{}); },
                            facts_of<heap_resource<upstream, threads::any>>(), "shared_heap_resource"),
                    subject(
                        [](upstream* u) {
                          return heap_resource(u, {.min_arena = 1, .keep_empty = 0, .quantum = 64, .min_block = 256});
                        },
                        facts_of<heap_resource<>>(), "heap_resource_coarse"),
                    subject([](upstream* u) { return named_cache(u, {.item_bytes = 256}); },
                            giving_back<named_cache<>>(), "named_cache"),
                    subject([](upstream* u) { return object_pool<int>(u, {.chunk_bytes = 64, .min_items = 1}); },
                            giving_back<object_pool<int>>(), "object_pool"),
                    subject([](upstream* u) { return named_cache(u, unsynchronized_cache{.item_bytes = 256}); },
                            giving_back<named_cache<upstream, threads::one>>(), "named_cache_unsynchronized"),
                    subject([](upstream* u) { return slab_resource(u); }, facts_of<slab_resource<>>(), "slab_resource"),
                    subject([](upstream* u) { return slab_resource(u, slabs{.keep_empty = 0, .keep_large = 0}); },
                            facts_of<slab_resource<>>(), "slab_resource_keeping_nothing"),
                    subject([](upstream* u) { return slab_resource(u, slabs{.checks = true}); },
                            facts_of<slab_resource<>>(), "slab_resource_checked"),
                    subject([](upstream* u) { return slab_resource(u, slabs{.largest = 1024, .cache_bytes = 4096}); },
                            facts_of<slab_resource<>>(), "slab_resource_small"),
                    subject([](upstream* u) { return slab_resource(u, unsynchronized_slabs{}); },
                            facts_of<slab_resource<upstream, threads::one>>(), "slab_resource_unsynchronized")),
    subject_name);

INSTANTIATE_TEST_SUITE_P(
    Stacks, Conformance,
    testing::Values(subject([] { return pages_only(pages{}); }, passing<pages_only>(), "pages"),
                    subject([] { return pages_cache(pages{}, cache{.item_bytes = 256}); }, facts_of<pages_cache>(),
                            "pages_cache"),
                    subject([] { return pages_heap(pages{}, heap{}); }, facts_of<pages_heap>(), "pages_heap"),
                    subject([] { return pages_heap_lock(pages{}, heap{}, synchronized{}); },
                            facts_of<pages_heap_lock>(), "pages_heap_synchronized"),
                    subject([](upstream* u) { return locked_heap(borrowed{.resource = u}, heap{}, synchronized{}); },
                            facts_of<locked_heap>(), "borrowed_heap_synchronized")),
    subject_name);

// A lock over a resource that needs one: std's own unsynchronised, monotonic memory never misaligns and never crashes.
struct locked_monotonic {
  explicit locked_monotonic(upstream* u) : below(u) {}
  std::pmr::memory_resource& operator*() { return lock; }
  std::pmr::monotonic_buffer_resource below;
  synchronized_adaptor<> lock{&below};
};

constexpr std::size_t plenty = std::size_t{1} << 40;

INSTANTIATE_TEST_SUITE_P(
    Adaptors, Conformance,
    testing::Values(
        subject([](upstream* u) { return locked_monotonic(u); },
                facts_of<synchronized_adaptor<>>({.reuses_memory = false}), "synchronized_adaptor"),
        subject([](upstream* u) { return limit_adaptor(u, limit{.bytes = plenty}); }, passing<limit_adaptor<>>(),
                "limit_adaptor"),
        subject(
            [](upstream* u) {
              return limit_adaptor(
                  u,
                  relieved_limit{.bytes = plenty, .when_short = [](void*, const shortage&) noexcept { return false; }});
            },
            passing<limit_adaptor<upstream, relieved_limit>>(), "limit_adaptor_relieved"),
        subject([](upstream* u) { return sizeless_adaptor(u); }, passing<sizeless_adaptor<>>(), "sizeless_adaptor"),
        subject([](upstream* u) { return large_page_adaptor(u); }, passing<large_page_adaptor<>>(),
                "large_page_adaptor"),
        subject([](upstream* u) { return large_page_adaptor(u, {.collapse = false, .look = false}); },
                passing<large_page_adaptor<>>(), "large_page_adaptor_advising"),
        subject([] { return explicit_page_resource(); }, passing<explicit_page_resource>(), "explicit_page_resource"),
        subject([] { return whole_ladder(explicit_pages{}, large_pages{}, locked{.strict = false}, slabs{}); },
                facts_of<whole_ladder>(), "explicit_pages_large_pages_locked_slabs"),
        subject([](upstream* u) { return locked_adaptor(u, locked{.strict = false}); }, passing<locked_adaptor<>>(),
                "locked_adaptor"),
        subject(
            [](upstream* u) {
              return locked_adaptor(
                  u, locked{.strict = false, .wipe = true, .dumped = false, .children = children_find::zeros});
            },
            passing<locked_adaptor<>>(), "locked_adaptor_for_secrets"),
        subject([] { return pages_locked_slabs(pages{}, locked{.strict = false}, slabs{}); },
                facts_of<pages_locked_slabs>(), "pages_locked_slabs"),
        subject([] { return pages_limit_slabs(pages{}, limit{.bytes = plenty}, slabs{}); },
                facts_of<pages_limit_slabs>(), "pages_limit_slabs"),
        subject([] { return pages_slabs_limit(pages{}, slabs{}, limit{.bytes = plenty}); },
                facts_of<pages_slabs_limit>({.returns_everything = false}), "pages_slabs_limit")),
    subject_name);

// Of fixed size: what the kit asks for fits in.
constexpr std::size_t large_region = std::size_t{16} << 20;
constexpr std::size_t modest = std::size_t{4} << 20;

INSTANTIATE_TEST_SUITE_P(
    Fragments, Conformance,
    testing::Values(
        subject([](upstream* u) { return fragment_resource(u, {.max_regions = 64}); }, facts_of<fragment_resource<>>(),
                "fragment_resource"),
        subject([](upstream* u) { return fragment_resource(u, {.region_bytes = large_region}); },
                facts_of<fragment_resource<>>({.max_live_bytes = modest, .grows = false}), "fragment_resource_fixed"),
        subject(
            [](upstream* u) {
              return fragment_resource(u, {.fragment_bytes = 64, .page_bytes = 64 * 1024, .max_regions = 64});
            },
            facts_of<fragment_resource<>>(), "fragment_resource_of_long_pages"),
        subject([](upstream* u) { return mempool_resource(u, {.segment_bytes = large_region}); },
                facts_of<mempool_resource<>>({.max_live_bytes = modest, .grows = false}), "mempool_resource"),
        subject(
            [] {
              return pages_locked_mempool(pages{}, locked{.strict = false}, mempool{.segment_bytes = large_region});
            },
            facts_of<pages_locked_mempool>({.max_live_bytes = modest}), "pages_locked_mempool"),
        subject([] { return pages_fragments(pages{}, fragments{.max_regions = 64}); }, facts_of<pages_fragments>(),
                "pages_fragments"),
        subject(
            [] {
              return pages_fragments_heap_lock(pages{}, fragments{.region_bytes = large_region}, heap{},
                                               synchronized{});
            },
            facts_of<pages_fragments_heap_lock>({.max_live_bytes = modest}), "pages_fragments_heap_synchronized")),
    subject_name);

}  // namespace
}  // namespace strata::pmr
