// SPDX-License-Identifier: Apache-2.0
// The suite over resources with a fault planted in each, and over the standard library's pools. Not a test:
// planted_faults_test runs it, one claim on one resource at a time, and says what must come out.
#include <memory_resource>

#include "tests/kit/planted_resource.h"
#include "tests/support/conformance.h"

namespace strata::test {
namespace {

template <plant Fault>
subject planted(const char* name) {
  return over_upstream<planted_resource<Fault>>({.thread_safe = true}, name);
}

INSTANTIATE_TEST_SUITE_P(
    Planted, Conformance,
    testing::Values(
        planted<plant::none>("none"), planted<plant::ignores_alignment>("ignores_alignment"),
        planted<plant::wraps_sizes>("wraps_sizes"), planted<plant::equals_all>("equals_all"),
        planted<plant::leaks_at_destruction>("leaks_at_destruction"),
        planted<plant::leaks_at_release>("leaks_at_release"), planted<plant::misstates_size>("misstates_size"),
        planted<plant::misstates_alignment>("misstates_alignment"), planted<plant::overlaps_blocks>("overlaps_blocks"),
        planted<plant::loses_contents>("loses_contents"),
        planted<plant::writes_past_its_blocks>("writes_past_its_blocks"),
        planted<plant::uses_default_resource>("uses_default_resource"),
        planted<plant::uses_operator_new>("uses_operator_new"), planted<plant::uses_malloc>("uses_malloc"),
        planted<plant::leaks_when_refused>("leaks_when_refused"),
        planted<plant::loses_a_block_when_refused>("loses_a_block_when_refused"),
        planted<plant::gives_null_for_nothing>("gives_null_for_nothing"),
        planted<plant::shares_zero_bytes>("shares_zero_bytes"),
        planted<plant::swallows_exception>("swallows_exception"),
        planted<plant::throws_something_else>("throws_something_else"),
        planted<plant::allocates_to_deallocate>("allocates_to_deallocate"),
        planted<plant::breaks_after_release>("breaks_after_release"),
        planted<plant::breaks_after_refusal>("breaks_after_refusal"),
        over_upstream<racing_resource>({.thread_safe = true, .max_alignment = 64, .max_bytes = 256}, "races")),
    subject_name);

INSTANTIATE_TEST_SUITE_P(
    Standard, Conformance,
    testing::Values(over_upstream<std::pmr::unsynchronized_pool_resource>({}, "unsynchronized_pool"),
                    over_upstream<std::pmr::synchronized_pool_resource>({.thread_safe = true}, "synchronized_pool"),
                    over_upstream<std::pmr::monotonic_buffer_resource>({.reuses_memory = false}, "monotonic")),
    subject_name);

}  // namespace
}  // namespace strata::test
