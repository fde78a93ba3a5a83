// SPDX-License-Identifier: Apache-2.0
#ifndef STRATA_TESTS_BUILD_BUILD_FACTS_H_
#define STRATA_TESTS_BUILD_BUILD_FACTS_H_

/// How one unit is compiled.
struct build_facts {
  bool address_sanitizer;
  bool thread_sanitizer;
  bool undefined_sanitizer;
  bool assertions;
  bool checked_library;
  bool optimised;
  bool exceptions;
  long standard;

  bool operator==(const build_facts&) const = default;
};

// The facts of the unit that spells STRATA_BUILD_FACTS, as its preprocessor knows them. Not a constant: an inline
// function of a module that names a local one would read the importer's.
#ifdef NDEBUG
#define STRATA_ASSERTIONS false
#else
#define STRATA_ASSERTIONS true
#endif
#ifdef _GLIBCXX_ASSERTIONS
#define STRATA_CHECKED_LIBRARY true
#else
#define STRATA_CHECKED_LIBRARY false
#endif
#ifdef __OPTIMIZE__
#define STRATA_OPTIMISED true
#else
#define STRATA_OPTIMISED false
#endif

#define STRATA_BUILD_FACTS                                                                                      \
  build_facts {                                                                                                 \
    .address_sanitizer = __has_feature(address_sanitizer), .thread_sanitizer = __has_feature(thread_sanitizer), \
    .undefined_sanitizer = __has_feature(undefined_behavior_sanitizer), .assertions = STRATA_ASSERTIONS,        \
    .checked_library = STRATA_CHECKED_LIBRARY, .optimised = STRATA_OPTIMISED,                                   \
    .exceptions = __has_feature(cxx_exceptions), .standard = __cplusplus,                                       \
  }

#endif  // STRATA_TESTS_BUILD_BUILD_FACTS_H_
