// SPDX-License-Identifier: Apache-2.0
#ifndef STRATA_FAKE_SOLARIS_ATOMIC_H_
#define STRATA_FAKE_SOLARIS_ATOMIC_H_

/// atomic_ops(3C): the families by size, long and pointer, as far as something of Strata could want them (P-S-50).
#include <stdint.h>
#include <sys/types.h>

#include "solaris_symbol.h"

extern "C" {
void atomic_inc_8(volatile uint8_t* target) STRATA_FAKE_SYMBOL(atomic_inc_8);
void atomic_dec_8(volatile uint8_t* target) STRATA_FAKE_SYMBOL(atomic_dec_8);
void atomic_add_8(volatile uint8_t* target, int8_t delta) STRATA_FAKE_SYMBOL(atomic_add_8);
void atomic_or_8(volatile uint8_t* target, uint8_t bits) STRATA_FAKE_SYMBOL(atomic_or_8);
void atomic_and_8(volatile uint8_t* target, uint8_t bits) STRATA_FAKE_SYMBOL(atomic_and_8);
uint8_t atomic_inc_8_nv(volatile uint8_t* target) STRATA_FAKE_SYMBOL(atomic_inc_8_nv);
uint8_t atomic_dec_8_nv(volatile uint8_t* target) STRATA_FAKE_SYMBOL(atomic_dec_8_nv);
uint8_t atomic_add_8_nv(volatile uint8_t* target, int8_t delta) STRATA_FAKE_SYMBOL(atomic_add_8_nv);
uint8_t atomic_or_8_nv(volatile uint8_t* target, uint8_t bits) STRATA_FAKE_SYMBOL(atomic_or_8_nv);
uint8_t atomic_and_8_nv(volatile uint8_t* target, uint8_t bits) STRATA_FAKE_SYMBOL(atomic_and_8_nv);
uint8_t atomic_cas_8(volatile uint8_t* target, uint8_t expected, uint8_t value) STRATA_FAKE_SYMBOL(atomic_cas_8);
uint8_t atomic_swap_8(volatile uint8_t* target, uint8_t value) STRATA_FAKE_SYMBOL(atomic_swap_8);

void atomic_inc_16(volatile uint16_t* target) STRATA_FAKE_SYMBOL(atomic_inc_16);
void atomic_dec_16(volatile uint16_t* target) STRATA_FAKE_SYMBOL(atomic_dec_16);
void atomic_add_16(volatile uint16_t* target, int16_t delta) STRATA_FAKE_SYMBOL(atomic_add_16);
void atomic_or_16(volatile uint16_t* target, uint16_t bits) STRATA_FAKE_SYMBOL(atomic_or_16);
void atomic_and_16(volatile uint16_t* target, uint16_t bits) STRATA_FAKE_SYMBOL(atomic_and_16);
uint16_t atomic_inc_16_nv(volatile uint16_t* target) STRATA_FAKE_SYMBOL(atomic_inc_16_nv);
uint16_t atomic_dec_16_nv(volatile uint16_t* target) STRATA_FAKE_SYMBOL(atomic_dec_16_nv);
uint16_t atomic_add_16_nv(volatile uint16_t* target, int16_t delta) STRATA_FAKE_SYMBOL(atomic_add_16_nv);
uint16_t atomic_or_16_nv(volatile uint16_t* target, uint16_t bits) STRATA_FAKE_SYMBOL(atomic_or_16_nv);
uint16_t atomic_and_16_nv(volatile uint16_t* target, uint16_t bits) STRATA_FAKE_SYMBOL(atomic_and_16_nv);
uint16_t atomic_cas_16(volatile uint16_t* target, uint16_t expected, uint16_t value) STRATA_FAKE_SYMBOL(atomic_cas_16);
uint16_t atomic_swap_16(volatile uint16_t* target, uint16_t value) STRATA_FAKE_SYMBOL(atomic_swap_16);

void atomic_inc_32(volatile uint32_t* target) STRATA_FAKE_SYMBOL(atomic_inc_32);
void atomic_dec_32(volatile uint32_t* target) STRATA_FAKE_SYMBOL(atomic_dec_32);
void atomic_add_32(volatile uint32_t* target, int32_t delta) STRATA_FAKE_SYMBOL(atomic_add_32);
void atomic_or_32(volatile uint32_t* target, uint32_t bits) STRATA_FAKE_SYMBOL(atomic_or_32);
void atomic_and_32(volatile uint32_t* target, uint32_t bits) STRATA_FAKE_SYMBOL(atomic_and_32);
uint32_t atomic_inc_32_nv(volatile uint32_t* target) STRATA_FAKE_SYMBOL(atomic_inc_32_nv);
uint32_t atomic_dec_32_nv(volatile uint32_t* target) STRATA_FAKE_SYMBOL(atomic_dec_32_nv);
uint32_t atomic_add_32_nv(volatile uint32_t* target, int32_t delta) STRATA_FAKE_SYMBOL(atomic_add_32_nv);
uint32_t atomic_or_32_nv(volatile uint32_t* target, uint32_t bits) STRATA_FAKE_SYMBOL(atomic_or_32_nv);
uint32_t atomic_and_32_nv(volatile uint32_t* target, uint32_t bits) STRATA_FAKE_SYMBOL(atomic_and_32_nv);
uint32_t atomic_cas_32(volatile uint32_t* target, uint32_t expected, uint32_t value) STRATA_FAKE_SYMBOL(atomic_cas_32);
uint32_t atomic_swap_32(volatile uint32_t* target, uint32_t value) STRATA_FAKE_SYMBOL(atomic_swap_32);

void atomic_inc_64(volatile uint64_t* target) STRATA_FAKE_SYMBOL(atomic_inc_64);
void atomic_dec_64(volatile uint64_t* target) STRATA_FAKE_SYMBOL(atomic_dec_64);
void atomic_add_64(volatile uint64_t* target, int64_t delta) STRATA_FAKE_SYMBOL(atomic_add_64);
void atomic_or_64(volatile uint64_t* target, uint64_t bits) STRATA_FAKE_SYMBOL(atomic_or_64);
void atomic_and_64(volatile uint64_t* target, uint64_t bits) STRATA_FAKE_SYMBOL(atomic_and_64);
uint64_t atomic_inc_64_nv(volatile uint64_t* target) STRATA_FAKE_SYMBOL(atomic_inc_64_nv);
uint64_t atomic_dec_64_nv(volatile uint64_t* target) STRATA_FAKE_SYMBOL(atomic_dec_64_nv);
uint64_t atomic_add_64_nv(volatile uint64_t* target, int64_t delta) STRATA_FAKE_SYMBOL(atomic_add_64_nv);
uint64_t atomic_or_64_nv(volatile uint64_t* target, uint64_t bits) STRATA_FAKE_SYMBOL(atomic_or_64_nv);
uint64_t atomic_and_64_nv(volatile uint64_t* target, uint64_t bits) STRATA_FAKE_SYMBOL(atomic_and_64_nv);
uint64_t atomic_cas_64(volatile uint64_t* target, uint64_t expected, uint64_t value) STRATA_FAKE_SYMBOL(atomic_cas_64);
uint64_t atomic_swap_64(volatile uint64_t* target, uint64_t value) STRATA_FAKE_SYMBOL(atomic_swap_64);

void atomic_inc_ulong(volatile ulong_t* target) STRATA_FAKE_SYMBOL(atomic_inc_ulong);
void atomic_dec_ulong(volatile ulong_t* target) STRATA_FAKE_SYMBOL(atomic_dec_ulong);
void atomic_add_long(volatile ulong_t* target, long delta) STRATA_FAKE_SYMBOL(atomic_add_long);
void atomic_or_ulong(volatile ulong_t* target, ulong_t bits) STRATA_FAKE_SYMBOL(atomic_or_ulong);
void atomic_and_ulong(volatile ulong_t* target, ulong_t bits) STRATA_FAKE_SYMBOL(atomic_and_ulong);
ulong_t atomic_inc_ulong_nv(volatile ulong_t* target) STRATA_FAKE_SYMBOL(atomic_inc_ulong_nv);
ulong_t atomic_dec_ulong_nv(volatile ulong_t* target) STRATA_FAKE_SYMBOL(atomic_dec_ulong_nv);
ulong_t atomic_add_long_nv(volatile ulong_t* target, long delta) STRATA_FAKE_SYMBOL(atomic_add_long_nv);
ulong_t atomic_or_ulong_nv(volatile ulong_t* target, ulong_t bits) STRATA_FAKE_SYMBOL(atomic_or_ulong_nv);
ulong_t atomic_and_ulong_nv(volatile ulong_t* target, ulong_t bits) STRATA_FAKE_SYMBOL(atomic_and_ulong_nv);
ulong_t atomic_cas_ulong(volatile ulong_t* target, ulong_t expected, ulong_t value)
    STRATA_FAKE_SYMBOL(atomic_cas_ulong);
ulong_t atomic_swap_ulong(volatile ulong_t* target, ulong_t value) STRATA_FAKE_SYMBOL(atomic_swap_ulong);

// The target is not typed: the address of anything goes, eight bytes are written (P-S-51).
void atomic_add_ptr(volatile void* target, ssize_t delta) STRATA_FAKE_SYMBOL(atomic_add_ptr);
void* atomic_add_ptr_nv(volatile void* target, ssize_t delta) STRATA_FAKE_SYMBOL(atomic_add_ptr_nv);
void* atomic_cas_ptr(volatile void* target, void* expected, void* value) STRATA_FAKE_SYMBOL(atomic_cas_ptr);
void* atomic_swap_ptr(volatile void* target, void* value) STRATA_FAKE_SYMBOL(atomic_swap_ptr);

// 0, or -1 when the bit was so already.
int atomic_set_long_excl(volatile ulong_t* target, uint_t bit) STRATA_FAKE_SYMBOL(atomic_set_long_excl);
int atomic_clear_long_excl(volatile ulong_t* target, uint_t bit) STRATA_FAKE_SYMBOL(atomic_clear_long_excl);

void membar_enter(void) STRATA_FAKE_SYMBOL(membar_enter);
void membar_exit(void) STRATA_FAKE_SYMBOL(membar_exit);
void membar_producer(void) STRATA_FAKE_SYMBOL(membar_producer);
void membar_consumer(void) STRATA_FAKE_SYMBOL(membar_consumer);
}

#endif  // STRATA_FAKE_SOLARIS_ATOMIC_H_
