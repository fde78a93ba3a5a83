// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <vector>

export module bench:churn;

import :random;
import :workload;

/// A large live set of which random members are replaced by others, of other sizes.
export namespace bench {

class churn_load final : public load {
 public:
  /// Sets up `live` blocks, of `least` to `most` bytes.
  churn_load(std::pmr::memory_resource* memory, std::size_t live, std::size_t least, std::size_t most,
             std::uint64_t seed = 1);
  ~churn_load() override;

  /// One operation deallocates a block and allocates another.
  std::uint64_t run(std::uint64_t operations) override;

 private:
  struct block {
    void* at;
    std::size_t bytes;
  };
  block allocate();

  std::pmr::memory_resource* memory_;
  random_numbers random_;
  log_uniform_sizes sizes_;
  std::vector<block> blocks_;
};

}  // namespace bench
