// SPDX-License-Identifier: Apache-2.0
#include "tests/support/counting_default.h"

namespace strata::test {
namespace {

class counting_resource final : public std::pmr::memory_resource {
  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    count_default_resource();
    return std::pmr::new_delete_resource()->allocate(bytes, alignment);
  }
  void do_deallocate(void* memory, std::size_t bytes, std::size_t alignment) override {
    std::pmr::new_delete_resource()->deallocate(memory, bytes, alignment);
  }
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }
};

/// Never destroyed: whoever took a block from it may keep it to the end of the program.
std::pmr::memory_resource* counting() noexcept {
  alignas(counting_resource) static std::byte place[sizeof(counting_resource)];
  static std::pmr::memory_resource* const resource = ::new (static_cast<void*>(place)) counting_resource;
  return resource;
}

}  // namespace

counting_default::counting_default() noexcept
    : previous_(std::pmr::set_default_resource(counting())), before_(heap_used_by_this_thread()) {}

counting_default::~counting_default() { std::pmr::set_default_resource(previous_); }

heap_use counting_default::used() const noexcept {
  const heap_use now = heap_used_by_this_thread();
  return {now.default_resource - before_.default_resource, now.operator_new - before_.operator_new,
          now.malloc - before_.malloc};
}

}  // namespace strata::test
