// SPDX-License-Identifier: Apache-2.0
// Claim: a guard_adaptor keeps the contract of a memory_resource (tests/support/README.md), alone and in stacks, whatever
// it guards.
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

using pages_guards = stack<pages, guards>;
using pages_guards_heap = stack<pages, guards, heap>;

// Blocks pass through: what is not deallocated stays with upstream.
template <class Layer>
facts passing(facts known = {}) {
  known.returns_everything = false;
  return facts_of<Layer>(known);
}

INSTANTIATE_TEST_SUITE_P(
    Guards, Conformance,
    testing::Values(
        subject([](upstream* u) { return guard_adaptor(u); }, passing<guard_adaptor<>>(), "guard_adaptor"),
        subject([](upstream* u) { return guard_adaptor(u, guards{.after = false, .tight = guard_edge::start}); },
                passing<guard_adaptor<>>(), "guard_adaptor_in_front"),
        subject([](upstream* u) { return guard_adaptor(u, guards{.one_in = 5}); }, passing<guard_adaptor<>>(),
                "guard_adaptor_one_in_five"),
        subject([] { return pages_guards(pages{}, guards{.hold_bytes = 1 << 20}); }, passing<pages_guards>(),
                "pages_guards_holding"),
        subject([] { return pages_guards_heap(pages{}, guards{}, heap{}); }, facts_of<pages_guards_heap>(),
                "pages_guards_heap")),
    subject_name);

}  // namespace
}  // namespace strata::pmr
