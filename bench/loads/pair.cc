// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory_resource>

module bench:pair.impl;

import :pair;
import :subject;
import :workload;

namespace bench {
namespace {

/// Looks at several blocks, since one may be aligned by chance.
bool aligns(std::pmr::memory_resource& memory, std::size_t bytes, std::size_t alignment) {
  std::array<void*, 8> blocks{};
  bool aligned = true;
  for (void*& b : blocks) {
    b = allocate_unsure(memory, bytes, alignment);
    aligned = aligned && reinterpret_cast<std::uintptr_t>(b) % alignment == 0;
  }
  for (void* b : blocks) memory.deallocate(b, bytes, alignment);
  return aligned;
}

}  // namespace

pair_load::pair_load(std::pmr::memory_resource* memory, std::size_t bytes, std::size_t alignment)
    : memory_(opaque(memory)), bytes_(bytes), alignment_(alignment) {
  if (!aligns(*memory_, bytes, alignment)) throw cannot("blocks do not have the alignment asked for");
}

std::uint64_t pair_load::run(std::uint64_t operations) {
  for (std::uint64_t i = 0; i < operations; ++i) {
    void* block = memory_->allocate(bytes_, alignment_);
    touch(block, bytes_);
    memory_->deallocate(block, bytes_, alignment_);
  }
  return operations;
}

}  // namespace bench
