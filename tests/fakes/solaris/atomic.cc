// SPDX-License-Identifier: Apache-2.0
//
// atomic_ops(3C) over the compiler's. Each operation orders nothing but its own variable; membar_* do the rest (P-S-52).
#include <atomic.h>

#include "tests/fakes/solaris/tell_tsan.h"

namespace {

constexpr int kAlone = __ATOMIC_RELAXED;

}  // namespace

#define STRATA_ATOMIC_FAMILY(suffix, add, type, delta_type)                                                            \
  void atomic_inc_##suffix(volatile type* target) { __atomic_fetch_add(target, type{1}, kAlone); }                     \
  void atomic_dec_##suffix(volatile type* target) { __atomic_fetch_sub(target, type{1}, kAlone); }                     \
  void atomic_add_##add(volatile type* target, delta_type delta) {                                                     \
    __atomic_fetch_add(target, static_cast<type>(delta), kAlone);                                                      \
  }                                                                                                                    \
  void atomic_or_##suffix(volatile type* target, type bits) { __atomic_fetch_or(target, bits, kAlone); }               \
  void atomic_and_##suffix(volatile type* target, type bits) { __atomic_fetch_and(target, bits, kAlone); }             \
  type atomic_inc_##suffix##_nv(volatile type* target) { return __atomic_add_fetch(target, type{1}, kAlone); }         \
  type atomic_dec_##suffix##_nv(volatile type* target) { return __atomic_sub_fetch(target, type{1}, kAlone); }         \
  type atomic_add_##add##_nv(volatile type* target, delta_type delta) {                                                \
    return __atomic_add_fetch(target, static_cast<type>(delta), kAlone);                                               \
  }                                                                                                                    \
  type atomic_or_##suffix##_nv(volatile type* target, type bits) { return __atomic_or_fetch(target, bits, kAlone); }   \
  type atomic_and_##suffix##_nv(volatile type* target, type bits) { return __atomic_and_fetch(target, bits, kAlone); } \
  type atomic_swap_##suffix(volatile type* target, type value) { return __atomic_exchange_n(target, value, kAlone); }  \
  type atomic_cas_##suffix(volatile type* target, type expected, type value) {                                         \
    __atomic_compare_exchange_n(target, &expected, value, false, kAlone, kAlone);                                      \
    return expected;                                                                                                   \
  }                                                                                                                    \
  static_assert(true)

STRATA_ATOMIC_FAMILY(8, 8, uint8_t, int8_t);
STRATA_ATOMIC_FAMILY(16, 16, uint16_t, int16_t);
STRATA_ATOMIC_FAMILY(32, 32, uint32_t, int32_t);
STRATA_ATOMIC_FAMILY(64, 64, uint64_t, int64_t);
STRATA_ATOMIC_FAMILY(ulong, long, ulong_t, long);

namespace {

volatile ulong_t* word(volatile void* target) { return static_cast<volatile ulong_t*>(target); }
void* pointer(ulong_t value) { return reinterpret_cast<void*>(value); }
ulong_t number(void* value) { return reinterpret_cast<ulong_t>(value); }

}  // namespace

void atomic_add_ptr(volatile void* target, ssize_t delta) { atomic_add_long(word(target), delta); }
void* atomic_add_ptr_nv(volatile void* target, ssize_t delta) {
  return pointer(atomic_add_long_nv(word(target), delta));
}
void* atomic_cas_ptr(volatile void* target, void* expected, void* value) {
  return pointer(atomic_cas_ulong(word(target), number(expected), number(value)));
}
void* atomic_swap_ptr(volatile void* target, void* value) {
  return pointer(atomic_swap_ulong(word(target), number(value)));
}

int atomic_set_long_excl(volatile ulong_t* target, uint_t bit) {
  const ulong_t mask = ulong_t{1} << bit;
  return (__atomic_fetch_or(target, mask, kAlone) & mask) == 0 ? 0 : -1;
}

int atomic_clear_long_excl(volatile ulong_t* target, uint_t bit) {
  const ulong_t mask = ulong_t{1} << bit;
  return (__atomic_fetch_and(target, ~mask, kAlone) & mask) != 0 ? 0 : -1;
}

void membar_enter(void) {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  strata::fake_solaris::tell_tsan_of_acquire();
}

void membar_exit(void) {
  strata::fake_solaris::tell_tsan_of_release();
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void membar_producer(void) {
  strata::fake_solaris::tell_tsan_of_release();
  __atomic_thread_fence(__ATOMIC_RELEASE);
}

void membar_consumer(void) {
  __atomic_thread_fence(__ATOMIC_ACQUIRE);
  strata::fake_solaris::tell_tsan_of_acquire();
}
