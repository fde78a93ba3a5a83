// SPDX-License-Identifier: Apache-2.0
// Claim: a tracking_adaptor keeps the contract of a memory_resource (tests/support/README.md), alone and in stacks, whether
// it knows every block, few of them or hardly any.
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

using pages_slabs_tracking = stack<pages, slabs, tracking>;
using pages_heap_tracking = stack<pages, heap, tracking>;

// What is live at the end is meant to be.
tracking quiet(std::size_t sample_bytes) { return {.sample_bytes = sample_bytes, .leaks_at_end = false}; }

// Blocks pass through: what is not deallocated stays with upstream.
template <class Layer>
facts passing(facts known = {}) {
  known.returns_everything = false;
  return facts_of<Layer>(known);
}

INSTANTIATE_TEST_SUITE_P(Tracking, Conformance,
                         testing::Values(subject([](upstream* u) { return tracking_adaptor(u, quiet(0)); },
                                                 passing<tracking_adaptor<>>(), "tracking_adaptor"),
                                         subject([](upstream* u) { return tracking_adaptor(u, quiet(100)); },
                                                 passing<tracking_adaptor<>>(), "tracking_adaptor_of_many"),
                                         subject([](upstream* u) { return tracking_adaptor(u, quiet(512 << 10)); },
                                                 passing<tracking_adaptor<>>(), "tracking_adaptor_of_few"),
                                         subject([] { return pages_slabs_tracking(pages{}, slabs{}, quiet(1000)); },
                                                 facts_of<pages_slabs_tracking>(), "pages_slabs_tracking"),
                                         subject([] { return pages_heap_tracking(pages{}, heap{}, quiet(0)); },
                                                 facts_of<pages_heap_tracking>(), "pages_heap_tracking")),
                         subject_name);

}  // namespace
}  // namespace strata::pmr
