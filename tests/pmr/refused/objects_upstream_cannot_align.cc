// SPDX-License-Identifier: Apache-2.0
#include <cstddef>
#include <memory_resource>

import strata.pmr;

using namespace strata::pmr;

struct byte_aligner : layer {
  static constexpr bool thread_safe = true;
  static constexpr std::size_t max_alignment = 16;
  static constexpr bool zeroed = false;
  static constexpr bool can_release = false;
};

struct alignas(64) line {
  char bytes[64];
};

object_pool<line, byte_aligner>* pool = nullptr;
const auto bytes = pool->chunk_bytes();
