// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <vector>

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

life_load::life_load(std::pmr::memory_resource* memory, std::size_t others, std::size_t bytes)
    : memory_(opaque(memory)), bytes_(bytes) {
  others_.reserve(others);
  while (others_.size() < others) {
    others_.push_back(memory_->allocate(bytes, any_size_alignment));
    touch(others_.back(), bytes);
  }
}

life_load::~life_load() {
  for (void* each : others_) memory_->deallocate(each, bytes_, any_size_alignment);
}

std::uint64_t life_load::run(std::uint64_t operations) {
  for (std::uint64_t i = 0; i < operations; ++i) {
    void* block = memory_->allocate(bytes_, any_size_alignment);
    *static_cast<volatile char*>(block) = 1;
    memory_->deallocate(block, bytes_, any_size_alignment);
  }
  return operations;
}

}  // namespace bench
