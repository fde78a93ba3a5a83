// SPDX-License-Identifier: Apache-2.0
#ifndef STRATA_TESTS_FAKES_SOLARIS_TELL_TSAN_H_
#define STRATA_TESTS_FAKES_SOLARIS_TELL_TSAN_H_

#if __has_feature(thread_sanitizer)
#include <sanitizer/tsan_interface.h>
#endif

/// ThreadSanitizer does not follow barriers that stand alone. It is told of one place that each of them releases or
/// acquires: more order than there is, so it reports no race that the barriers prevent.
namespace strata::fake_solaris {

#if __has_feature(thread_sanitizer)
inline char all_barriers;
inline void tell_tsan_of_acquire() { __tsan_acquire(&all_barriers); }
inline void tell_tsan_of_release() { __tsan_release(&all_barriers); }
#else
inline void tell_tsan_of_acquire() {}
inline void tell_tsan_of_release() {}
#endif

}  // namespace strata::fake_solaris

#endif  // STRATA_TESTS_FAKES_SOLARIS_TELL_TSAN_H_
