// SPDX-License-Identifier: Apache-2.0
#ifndef STRATA_TESTS_BUILD_BUILD_FACTS_H_
#define STRATA_TESTS_BUILD_BUILD_FACTS_H_

/// How one unit is compiled, as its preprocessor knows.
struct build_facts {
  bool address_sanitizer = false;
  bool thread_sanitizer = false;
  bool undefined_sanitizer = false;
  bool assertions = false;
  bool checked_library = false;
  bool optimised = false;
  bool exceptions = false;
  long standard = __cplusplus;

  bool operator==(const build_facts&) const = default;
};

namespace {

/// Local to the unit on purpose: every unit that includes this header answers for itself.
[[maybe_unused]] constexpr build_facts facts_of_this_unit = [] {
  build_facts facts;
#if __has_feature(address_sanitizer)
  facts.address_sanitizer = true;
#endif
#if __has_feature(thread_sanitizer)
  facts.thread_sanitizer = true;
#endif
#if __has_feature(undefined_behavior_sanitizer)
  facts.undefined_sanitizer = true;
#endif
#ifndef NDEBUG
  facts.assertions = true;
#endif
#ifdef _GLIBCXX_ASSERTIONS
  facts.checked_library = true;
#endif
#ifdef __OPTIMIZE__
  facts.optimised = true;
#endif
#ifdef __cpp_exceptions
  facts.exceptions = true;
#endif
  return facts;
}();

}  // namespace

#endif  // STRATA_TESTS_BUILD_BUILD_FACTS_H_
