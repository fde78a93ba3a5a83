// SPDX-License-Identifier: Apache-2.0
#ifndef STRATA_TESTS_PLATFORM_PAGE_CHECKS_H_
#define STRATA_TESTS_PLATFORM_PAGE_CHECKS_H_

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

/// What a test asks of a range of pages, the machine itself included.
namespace strata::test {

inline bool aligned(const void* p, std::size_t alignment) {
  return reinterpret_cast<std::uintptr_t>(p) % alignment == 0;
}

inline volatile char* bytes_of(void* base) { return static_cast<volatile char*>(base); }

inline bool all_zero(const void* base, std::size_t bytes) {
  const auto* p = static_cast<const unsigned char*>(base);
  return bytes == 0 || (p[0] == 0 && std::memcmp(p, p + 1, bytes - 1) == 0);
}

/// ~0 when the machine does not tell.
inline std::size_t resident_pages(void* base, std::size_t bytes, std::size_t page) {
  std::vector<unsigned char> in(bytes / page);
  if (::mincore(base, bytes, in.data()) != 0) return ~std::size_t{0};
  std::size_t count = 0;
  for (const unsigned char flag : in) count += flag & 1U;
  return count;
}

}  // namespace strata::test

#endif  // STRATA_TESTS_PLATFORM_PAGE_CHECKS_H_
