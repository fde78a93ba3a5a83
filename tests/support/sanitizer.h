// SPDX-License-Identifier: Apache-2.0
#pragma once

#if !defined(__has_feature)
#define STRATA_TEST_HAS(x) 0
#else
#define STRATA_TEST_HAS(x) __has_feature(x)
#endif

/// Which sanitizer this unit is built with, for the few expectations that depend on one.
namespace strata::test {

#if STRATA_TEST_HAS(address_sanitizer) || defined(__SANITIZE_ADDRESS__)
inline constexpr bool under_asan = true;
#else
inline constexpr bool under_asan = false;
#endif

#if STRATA_TEST_HAS(thread_sanitizer) || defined(__SANITIZE_THREAD__)
inline constexpr bool under_tsan = true;
#else
inline constexpr bool under_tsan = false;
#endif

#if STRATA_TEST_HAS(undefined_behavior_sanitizer)
inline constexpr bool under_ubsan = true;
#else
inline constexpr bool under_ubsan = false;
#endif

}  // namespace strata::test

/// Defined as 1 where the sanitizer's runtime owns malloc and operator new.
#if STRATA_TEST_HAS(address_sanitizer) || STRATA_TEST_HAS(thread_sanitizer) || STRATA_TEST_HAS(memory_sanitizer) || \
    defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STRATA_TEST_SANITIZER_OWNS_MALLOC 1
#else
#define STRATA_TEST_SANITIZER_OWNS_MALLOC 0
#endif
