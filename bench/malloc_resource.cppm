// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <memory_resource>
#include <new>

export module bench:malloc_resource;

import :subject;

/// An allocator in C behind a memory_resource: the cheapest of its calls that is right for each request.
export namespace bench {

/// True where every malloc aligns well enough without being told: to 16, or to the size of smaller blocks.
[[nodiscard]] inline bool aligned_by_nature(std::size_t bytes, std::size_t alignment) noexcept {
  return alignment <= 16 && alignment <= bytes;
}

/// `Calls` has allocate(bytes) and deallocate(p, bytes) for blocks aligned by nature, aligned_allocate(bytes, alignment)
/// and aligned_deallocate(p, bytes, alignment) for all others.
template <class Calls>
class malloc_resource final : public std::pmr::memory_resource {
 public:
  Calls calls;

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    void* const p =
        aligned_by_nature(bytes, alignment) ? calls.allocate(bytes) : calls.aligned_allocate(bytes, alignment);
    if (p == nullptr) [[unlikely]]
      throw std::bad_alloc();
    return p;
  }

  void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    aligned_by_nature(bytes, alignment) ? calls.deallocate(p, bytes) : calls.aligned_deallocate(p, bytes, alignment);
  }

  [[nodiscard]] bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }
};

/// `Calls` also has trim().
template <class Calls>
class malloc_subject final : public subject {
 public:
  [[nodiscard]] std::pmr::memory_resource& memory() noexcept override { return memory_; }
  void trim() noexcept override { memory_.calls.trim(); }

 private:
  malloc_resource<Calls> memory_;
};

}  // namespace bench
