// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <vector>

export module bench:batch;

import :workload;

/// Many blocks of one size allocated, then all of them deallocated.
export namespace bench {

class batch_load final : public load {
 public:
  enum class order : unsigned char { lifo, fifo, random };  ///< of deallocation

  batch_load(std::pmr::memory_resource* memory, std::size_t blocks, std::size_t bytes, order in);

  /// Whole batches. One operation is one block, allocated and deallocated.
  std::uint64_t run(std::uint64_t operations) override;

 private:
  std::pmr::memory_resource* memory_;
  std::size_t bytes_;
  std::vector<void*> blocks_;
  std::vector<std::uint32_t> order_;  // of blocks_, in which they go
};

}  // namespace bench
