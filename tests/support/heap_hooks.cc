// SPDX-License-Identifier: Apache-2.0
// Where calls to the global heap are seen. Linked in whole, once per program.
//
// Plain builds   on glibc the malloc family is defined here and forwards to glibc's own names; the two primary forms of
// operator new,
//                to which all others lead, are replaced. Every definition is weak: a program that brings its own malloc
//                or operator new keeps it, and heap_is_watched() then says that nothing is seen here.
// ASan, TSan,    the runtime owns malloc and operator new and checks that they are paired; replacing either would blind
// it. Its hook MSan           reports each block handed out, whoever asked, so operator new is counted as malloc.
// TSan's does not report over-aligned blocks.
#include "tests/support/heap_count.h"
#include "tests/support/sanitizer.h"

#if STRATA_TEST_SANITIZER_OWNS_MALLOC

#include <sanitizer/allocator_interface.h>

namespace strata::test {
namespace {

void block_given(const volatile void*, std::size_t) { count_malloc(); }
void block_taken(const volatile void*) {}

[[maybe_unused]] const int hooks_installed = __sanitizer_install_malloc_and_free_hooks(block_given, block_taken);

}  // namespace
}  // namespace strata::test

#else

#include <cerrno>
#include <cstdlib>
#include <new>

#if defined(__GLIBC__)

extern "C" {

void* __libc_malloc(std::size_t bytes) noexcept;
void* __libc_calloc(std::size_t count, std::size_t bytes) noexcept;
void* __libc_realloc(void* block, std::size_t bytes) noexcept;
void* __libc_memalign(std::size_t alignment, std::size_t bytes) noexcept;
void __libc_free(void* block) noexcept;

[[gnu::weak]] void* malloc(std::size_t bytes) noexcept {
  strata::test::count_malloc();
  return __libc_malloc(bytes);
}

[[gnu::weak]] void* calloc(std::size_t count, std::size_t bytes) noexcept {
  strata::test::count_malloc();
  return __libc_calloc(count, bytes);
}

[[gnu::weak]] void* realloc(void* block, std::size_t bytes) noexcept {
  strata::test::count_malloc();
  return __libc_realloc(block, bytes);
}

[[gnu::weak]] void* memalign(std::size_t alignment, std::size_t bytes) noexcept {
  strata::test::count_malloc();
  return __libc_memalign(alignment, bytes);
}

[[gnu::weak]] void* aligned_alloc(std::size_t alignment, std::size_t bytes) noexcept {
  strata::test::count_malloc();
  return __libc_memalign(alignment, bytes);
}

[[gnu::weak]] int posix_memalign(void** block, std::size_t alignment, std::size_t bytes) noexcept {
  strata::test::count_malloc();
  if (alignment < sizeof(void*) || (alignment & (alignment - 1)) != 0) return EINVAL;
  void* const memory = __libc_memalign(alignment, bytes);
  if (memory == nullptr) return ENOMEM;
  *block = memory;
  return 0;
}

[[gnu::weak]] void free(void* block) noexcept { __libc_free(block); }

}  // extern "C"

#endif  // __GLIBC__

namespace {

template <class Attempt>
void* until_the_handler_gives_up(Attempt attempt) {
  strata::test::count_operator_new();
  for (;;) {
    if (void* const block = attempt()) return block;
    const std::new_handler handler = std::get_new_handler();
    if (handler == nullptr) throw std::bad_alloc();
    handler();
  }
}

}  // namespace

[[gnu::weak]] void* operator new(std::size_t bytes) {
  return until_the_handler_gives_up([bytes] { return std::malloc(bytes == 0 ? 1 : bytes); });
}

[[gnu::weak]] void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return until_the_handler_gives_up([bytes, alignment]() -> void* {
    const std::size_t asked = static_cast<std::size_t>(alignment);
    void* block = nullptr;
    const int error = ::posix_memalign(&block, asked < sizeof(void*) ? sizeof(void*) : asked, bytes == 0 ? 1 : bytes);
    return error == 0 ? block : nullptr;
  });
}

[[gnu::weak]] void operator delete(void* block) noexcept { std::free(block); }
[[gnu::weak]] void operator delete(void* block, std::size_t) noexcept { ::operator delete(block); }
[[gnu::weak]] void operator delete(void* block, std::align_val_t) noexcept { std::free(block); }
[[gnu::weak]] void operator delete(void* block, std::size_t, std::align_val_t alignment) noexcept {
  ::operator delete(block, alignment);
}

#endif
