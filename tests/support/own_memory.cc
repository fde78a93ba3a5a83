// SPDX-License-Identifier: Apache-2.0
#include "tests/support/own_memory.h"

#include <cstdlib>

#include "tests/support/heap_count.h"

namespace strata::test {

void* own_allocate(std::size_t bytes, std::size_t alignment) {
  const uncounted own_business;
  void* block = nullptr;
  const std::size_t served = alignment < sizeof(void*) ? sizeof(void*) : alignment;
  if (::posix_memalign(&block, served, bytes == 0 ? 1 : bytes) != 0) throw std::bad_alloc();
  return block;
}

void own_deallocate(void* block) noexcept {
  const uncounted own_business;
  std::free(block);
}

}  // namespace strata::test
