// SPDX-License-Identifier: Apache-2.0
// Claim: a shadow_resource keeps the contract of a memory_resource (tests/support/README.md): when it serves every
// block, when upstream serves every block, when they share, in batches, and without guards in the kernel.
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

using pages_slabs_shadow = stack<pages, slabs, shadow>;
using pages_heap_shadow = stack<pages, heap, shadow>;

// Small quarantines and budgets, so that addresses are used again, and used up.
constexpr shadow small(std::size_t one_in, shadow_guards guards) {
  return {.one_in = one_in,
          .guards = guards,
          .batch_blocks = 16,
          .hold_bytes = std::size_t{8} << 20,
          .max_address_bytes = std::size_t{512} << 20};
}

// Blocks that upstream serves pass through: what is not deallocated stays there.
template <class Layer>
facts passing() {
  return facts_of<Layer>({.returns_everything = false});
}

INSTANTIATE_TEST_SUITE_P(
    Shadow, Conformance,
    testing::Values(subject([](upstream* u) { return shadow_resource(u, small(1, shadow_guards::at_once)); },
                            passing<shadow_resource<>>(), "every_block"),
                    subject([](upstream* u) { return shadow_resource(u, small(1, shadow_guards::batched)); },
                            passing<shadow_resource<>>(), "every_block_in_batches"),
                    subject([](upstream* u) { return shadow_resource(u, small(1 << 24, shadow_guards::at_once)); },
                            passing<shadow_resource<>>(), "upstream_serves_nearly_all"),
                    subject([](upstream* u) { return shadow_resource(u, small(3, shadow_guards::batched)); },
                            passing<shadow_resource<>>(), "one_in_three"),
                    subject([](upstream* u) { return shadow_resource(u, {.max_mappings = 4}); },
                            passing<shadow_resource<>>(), "with_hardly_any_mappings"),
                    subject([] { return pages_slabs_shadow(pages{}, slabs{}, small(4, shadow_guards::at_once)); },
                            passing<pages_slabs_shadow>(), "pages_slabs_shadow"),
                    subject([] { return pages_heap_shadow(pages{}, heap{}, small(1, shadow_guards::batched)); },
                            passing<pages_heap_shadow>(), "pages_heap_shadow")),
    subject_name);

}  // namespace
}  // namespace strata::pmr
