// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <vector>

export module bench:prodcons;

import :crew;
import :random;
import :workload;

/// One thread allocates, another deallocates.
export namespace bench {

class prodcons_load final : public load {
 public:
  /// At most `queue` blocks are under way.
  prodcons_load(std::pmr::memory_resource* memory, std::size_t queue, std::size_t least, std::size_t most);

  /// One operation is one block.
  std::uint64_t run(std::uint64_t operations) override;

 private:
  struct block {
    void* at;
    std::size_t bytes;
  };
  void produce(std::uint64_t operations);
  void consume(std::uint64_t operations);

  std::pmr::memory_resource* memory_;
  log_uniform_sizes sizes_;
  random_numbers random_{7};
  std::vector<block> queue_;                           // a ring
  alignas(64) std::atomic<std::uint64_t> written_{0};  // blocks ever put in
  alignas(64) std::atomic<std::uint64_t> read_{0};     // blocks ever taken out
  alignas(64) crew crew_{2};
};

}  // namespace bench
