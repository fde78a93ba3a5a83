// SPDX-License-Identifier: Apache-2.0
module;

export module strata.mem:checked;

/// Which builds look at themselves: those with assertions, and those with a sanitizer.
///
/// The default configuration and every sanitizer's are checked; --config=opt (NDEBUG) is not. What is checked is decided
/// where Strata is compiled, not where it is imported.
export namespace strata::mem {

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer) || \
    __has_feature(undefined_behavior_sanitizer)
#define STRATA_SANITIZED 1
#endif
#endif

#if !defined(NDEBUG) || defined(STRATA_SANITIZED)
inline constexpr bool checked = true;
#else
inline constexpr bool checked = false;
#endif

}  // namespace strata::mem
