// SPDX-License-Identifier: Apache-2.0
//
// The user's layer and stack keep the contract of a memory_resource: Strata's conformance kit says so.
#include <memory_resource>

#include "tests/support/conformance.h"

import consumer.cache_line_adaptor;
import strata.pmr;

namespace consumer {
namespace {

namespace sp = strata::pmr;
using strata::test::Conformance;
using strata::test::facts_of;
using strata::test::subject;

using users_stack = sp::stack<sp::pages, sp::heap, cache_lines, sp::synchronized>;

INSTANTIATE_TEST_SUITE_P(
    Users, Conformance,
    testing::Values(subject([](std::pmr::memory_resource* upstream) { return cache_line_adaptor(upstream); },
                            facts_of<cache_line_adaptor<>>({.returns_everything = false}), "cache_line_adaptor"),
                    subject([] { return users_stack(sp::pages{}, sp::heap{}, cache_lines{}, sp::synchronized{}); },
                            facts_of<users_stack>(), "stack")),
    strata::test::subject_name);

}  // namespace
}  // namespace consumer
