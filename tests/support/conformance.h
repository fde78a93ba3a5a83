// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <string>

#include "tests/support/failing_resource.h"
#include "tests/support/ownership_table.h"
#include "tests/support/random_run.h"
#include "tests/support/recording_resource.h"
#include "tests/support/subject.h"

namespace strata::test {

/// The contract of a std::pmr::memory_resource as a GoogleTest suite. To put a resource through it:
///
///     #include "tests/support/conformance.h"
///     using strata::test::Conformance;
///     INSTANTIATE_TEST_SUITE_P(MyResource, Conformance, testing::Values(strata::test::subject(
///         [](std::pmr::memory_resource* upstream) { return my_resource(upstream); }, {.thread_safe = true})));
///
/// and link @strata//tests/support:conformance. README.md lists the claims and what each one asks.
///
/// The claims live in conformance_*.cc. Each builds its instances over `upstream_`, which passes to `recorder_` what it
/// was not told to fail; when the test ends, nothing may be left in `recorder_`.
class Conformance : public testing::TestWithParam<subject> {
 protected:
  [[nodiscard]] const facts& known() const { return GetParam().known(); }
  [[nodiscard]] bool has_upstream() const { return !GetParam().is_source(); }
  [[nodiscard]] instance make() { return GetParam().make(&upstream_); }

  /// The facts' limits, cut to what is sensible.
  [[nodiscard]] std::size_t max_bytes() const { return known().max_bytes; }
  [[nodiscard]] std::size_t max_alignment() const { return std::min(known().max_alignment, std::size_t{1} << 21); }

  void expect_unchanged(const balance& before, std::pmr::memory_resource& tested, std::size_t bytes,
                        std::size_t alignment);

  recording_resource recorder_;
  failing_resource upstream_{&recorder_};
};

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Conformance);

/// For the fourth argument of INSTANTIATE_TEST_SUITE_P: names each test after its subject.
[[nodiscard]] inline std::string subject_name(const testing::TestParamInfo<subject>& info) { return info.param.name(); }

}  // namespace strata::test
