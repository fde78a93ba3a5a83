// SPDX-License-Identifier: Apache-2.0
// Claim: the suite passes what is sound: new_delete_resource, and the recorder itself both as a source and as an
// adaptor.
#include <memory_resource>

#include "tests/support/conformance.h"
#include "tests/support/sanitizer.h"

namespace strata::test {
namespace {

INSTANTIATE_TEST_SUITE_P(Standard, Conformance,
                         testing::Values(subject([] { return std::pmr::new_delete_resource(); },
                                                 {.thread_safe = true,
                                                  .interchangeable = true,
                                                  .uses_heap = true,
                                                  .refuses_impossible_sizes = !under_asan && !under_tsan},
                                                 "new_delete")),
                         subject_name);

INSTANTIATE_TEST_SUITE_P(
    Kit, Conformance,
    testing::Values(subject([](std::pmr::memory_resource* upstream) { return recording_resource(upstream); },
                            {.thread_safe = true, .returns_everything = false}, "recorder"),
                    subject([](std::pmr::memory_resource* upstream) { return failing_resource(upstream); },
                            {.thread_safe = true, .returns_everything = false}, "failing"),
                    subject([] { return recording_resource(); }, {.thread_safe = true}, "recording_source")),
    subject_name);

}  // namespace
}  // namespace strata::test
