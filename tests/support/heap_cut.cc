// SPDX-License-Identifier: Apache-2.0
// The malloc family of the program, in front of whoever owns the heap.
//
// Plain builds   that is glibc, by its own names.
// ASan, TSan     the runtime, by the names it has for those who come before it. So blocks keep being checked.
//
// operator new leads to malloc, unless a runtime brings its own (as it does when clang++ links). Those do not all let
// somebody come before them; what they hand out is counted, by the runtime's hook, but not refused.
//
// Functions here run before a runtime is ready and inside it: not instrumented, and no atomics of a library.
#include "tests/support/heap_cut.h"

#include <cerrno>
#include <cstdlib>

#include "tests/support/sanitizer.h"

#if STRATA_TEST_SANITIZER_OWNS_MALLOC
#include <sanitizer/allocator_interface.h>
#endif

#define STRATA_PLAIN __attribute__((disable_sanitizer_instrumentation))

#if STRATA_TEST_SANITIZER_OWNS_MALLOC
#define STRATA_OWNER(name) ___interceptor_##name
#else
#define STRATA_OWNER(name) __libc_##name
#endif

namespace {

struct alignas(16) gate {
  int shut;
  std::size_t requests;
};
constinit gate heap = {};  // in one page: whoever shuts it has touched both

STRATA_PLAIN bool refused() noexcept {
  if (__atomic_load_n(&heap.shut, __ATOMIC_ACQUIRE) == 0) return false;
  __atomic_add_fetch(&heap.requests, 1, __ATOMIC_RELAXED);
  errno = ENOMEM;
  return true;
}

}  // namespace

namespace strata::test {

void shut_heap() noexcept { __atomic_store_n(&heap.shut, 1, __ATOMIC_RELEASE); }
std::size_t heap_requests_refused() noexcept { return __atomic_load_n(&heap.requests, __ATOMIC_RELAXED); }

}  // namespace strata::test

extern "C" {

// NOLINTBEGIN(bugprone-reserved-identifier): the owners' names.
void* STRATA_OWNER(malloc)(std::size_t bytes) noexcept;
void* STRATA_OWNER(calloc)(std::size_t count, std::size_t bytes) noexcept;
void* STRATA_OWNER(realloc)(void* block, std::size_t bytes) noexcept;
void* STRATA_OWNER(memalign)(std::size_t alignment, std::size_t bytes) noexcept;
// NOLINTEND(bugprone-reserved-identifier)

STRATA_PLAIN void* malloc(std::size_t bytes) noexcept { return refused() ? nullptr : STRATA_OWNER(malloc)(bytes); }

STRATA_PLAIN void* calloc(std::size_t count, std::size_t bytes) noexcept {
  return refused() ? nullptr : STRATA_OWNER(calloc)(count, bytes);
}

STRATA_PLAIN void* realloc(void* block, std::size_t bytes) noexcept {
  return refused() ? nullptr : STRATA_OWNER(realloc)(block, bytes);
}

STRATA_PLAIN void* memalign(std::size_t alignment, std::size_t bytes) noexcept {
  return refused() ? nullptr : STRATA_OWNER(memalign)(alignment, bytes);
}

STRATA_PLAIN void* aligned_alloc(std::size_t alignment, std::size_t bytes) noexcept {
  return refused() ? nullptr : STRATA_OWNER(memalign)(alignment, bytes);
}

STRATA_PLAIN int posix_memalign(void** block, std::size_t alignment, std::size_t bytes) noexcept {
  if (alignment < sizeof(void*) || (alignment & (alignment - 1)) != 0) return EINVAL;
  void* const memory = refused() ? nullptr : STRATA_OWNER(memalign)(alignment, bytes);
  if (memory == nullptr) return ENOMEM;
  *block = memory;
  return 0;
}

}  // extern "C"

#if STRATA_TEST_SANITIZER_OWNS_MALLOC

namespace {

void block_given(const volatile void*, std::size_t) { (void)refused(); }
void block_taken(const volatile void*) {}

[[maybe_unused]] const int hooks_installed = __sanitizer_install_malloc_and_free_hooks(block_given, block_taken);

}  // namespace

#endif
