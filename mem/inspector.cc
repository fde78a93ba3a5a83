// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdlib>

#if __has_feature(address_sanitizer)
#include <sanitizer/asan_interface.h>
#include <sanitizer/lsan_interface.h>
#define STRATA_KNOWS_MEMCHECK 0
#elif __has_include(<valgrind/memcheck.h>)
#include <valgrind/memcheck.h>
#define STRATA_KNOWS_MEMCHECK 1
#else
#define STRATA_KNOWS_MEMCHECK 0
#endif

// What the runtimes of the sanitizers bring into a program.
extern "C" {
[[gnu::weak]] void __asan_init();  // NOLINT(bugprone-reserved-identifier): theirs
[[gnu::weak]] void __tsan_init();  // NOLINT(bugprone-reserved-identifier): theirs
}

module strata.mem:inspector.impl;

import :bytes;
import :inspector;

import strata.platform;

namespace strata::mem {

constinit bool memcheck_runs = false;

namespace {

#if __has_feature(thread_sanitizer)
constexpr bool has_thread_sanitizer = true;
#else
constexpr bool has_thread_sanitizer = false;
#endif

// A library without checks in a program with them: its blocks would be blind spots, its atomics unseen, and no tool says
// so; a module's interface does not tell either. The reverse does not link, for want of the runtime.
[[gnu::constructor]] void refuse_to_be_mixed() noexcept {
  const char* missing = nullptr;
  if (!has_address_sanitizer && __asan_init != nullptr) missing = "address";
  if (!has_thread_sanitizer && __tsan_init != nullptr) missing = "thread";
  if (missing == nullptr) return;
  platform::write_to_console("strata: this program has the runtime of -fsanitize=");
  platform::write_to_console(missing);
  platform::write_to_console(
      ", and the library in it was built without: it would see nothing of Strata's memory. Build both with it\n");
  std::abort();
}

#if STRATA_KNOWS_MEMCHECK
// The first priority there is for programs: makers of static objects may ask.
[[gnu::constructor(101)]] void ask_memcheck() noexcept { memcheck_runs = VALGRIND_MAKE_MEM_DEFINED(nullptr, 0) != 0; }

// 3: not addressable.
bool is_accessible(const void* p) noexcept {
  unsigned char bits = 0;
  return VALGRIND_GET_VBITS(p, &bits, 1) != 3;
}
#endif

bool is_hidden_byte([[maybe_unused]] const void* p) noexcept {
#if __has_feature(address_sanitizer)
  return __asan_address_is_poisoned(p) != 0;
#elif STRATA_KNOWS_MEMCHECK
  return under_memcheck() && !is_accessible(p);
#else
  return false;
#endif
}

}  // namespace

void hide([[maybe_unused]] const void* p, [[maybe_unused]] std::size_t bytes) noexcept {
#if __has_feature(address_sanitizer)
  __asan_poison_memory_region(p, bytes);
#elif STRATA_KNOWS_MEMCHECK
  (void)VALGRIND_MAKE_MEM_NOACCESS(p, bytes);
#endif
}

void show([[maybe_unused]] const void* p, [[maybe_unused]] std::size_t bytes) noexcept {
#if __has_feature(address_sanitizer)
  __asan_unpoison_memory_region(p, bytes);
#elif STRATA_KNOWS_MEMCHECK
  (void)VALGRIND_MAKE_MEM_UNDEFINED(p, bytes);
#endif
}

void show_as_is([[maybe_unused]] const void* p, [[maybe_unused]] std::size_t bytes) noexcept {
#if __has_feature(address_sanitizer)
  __asan_unpoison_memory_region(p, bytes);
#elif STRATA_KNOWS_MEMCHECK
  (void)VALGRIND_MAKE_MEM_DEFINED(p, bytes);
#endif
}

bool is_hidden(const void* p, std::size_t bytes) noexcept {
  for (std::size_t i = 0; i < bytes; ++i) {
    if (!is_hidden_byte(at<std::byte>(p, static_cast<std::ptrdiff_t>(i)))) return false;
  }
  return inspected();
}

bool is_shown(const void* p, std::size_t bytes) noexcept {
  for (std::size_t i = 0; i < bytes; ++i) {
    if (is_hidden_byte(at<std::byte>(p, static_cast<std::ptrdiff_t>(i)))) return false;
  }
  return true;
}

// Byte by byte, and not by a call of memmove, which AddressSanitizer checks whoever calls it.
[[clang::no_builtin("memmove", "memcpy"), clang::no_sanitize("address")]] void move_hidden(void* to, const void* from,
                                                                                           std::size_t bytes) noexcept {
  if (!inspected()) {
    __builtin_memmove(to, from, bytes);
    return;
  }
  auto* const target = static_cast<unsigned char*>(to);
  const auto* const source = static_cast<const unsigned char*>(from);
  if (address(to) <= address(from)) {
    for (std::size_t i = 0; i < bytes; ++i) target[i] = source[i];
  } else {
    for (std::size_t i = bytes; i-- != 0;) target[i] = source[i];
  }
}

void add_root([[maybe_unused]] const void* p, [[maybe_unused]] std::size_t bytes) noexcept {
#if __has_feature(address_sanitizer)
  __lsan_register_root_region(p, bytes);
#endif
}

void remove_root([[maybe_unused]] const void* p, [[maybe_unused]] std::size_t bytes) noexcept {
#if __has_feature(address_sanitizer)
  __lsan_unregister_root_region(p, bytes);
#endif
}

look::look() noexcept : told_(under_memcheck()) {
#if STRATA_KNOWS_MEMCHECK
  if (told_) VALGRIND_DISABLE_ERROR_REPORTING;
#endif
}

look::~look() {
#if STRATA_KNOWS_MEMCHECK
  if (told_) VALGRIND_ENABLE_ERROR_REPORTING;
#endif
}

}  // namespace strata::mem
