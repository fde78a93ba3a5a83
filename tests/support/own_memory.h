// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <limits>
#include <new>
#include <vector>

namespace strata::test {

/// Memory the kit takes for itself: from malloc, never counted as use of the heap by what is being tested.
///
/// \param alignment  power of two, bytes
/// \throws std::bad_alloc when malloc has none
[[nodiscard]] void* own_allocate(std::size_t bytes, std::size_t alignment);
void own_deallocate(void* block) noexcept;

/// A standard allocator over own_allocate(), for the kit's own containers.
template <class T>
struct own_allocator {
  using value_type = T;

  own_allocator() = default;
  template <class U>
  own_allocator(const own_allocator<U>&) noexcept {}

  [[nodiscard]] T* allocate(std::size_t count) {
    if (count > std::numeric_limits<std::size_t>::max() / sizeof(T)) throw std::bad_array_new_length();
    return static_cast<T*>(own_allocate(count * sizeof(T), alignof(T)));
  }
  void deallocate(T* block, std::size_t) noexcept { own_deallocate(block); }

  friend bool operator==(const own_allocator&, const own_allocator&) { return true; }
};

template <class T>
using own_vector = std::vector<T, own_allocator<T>>;

}  // namespace strata::test
