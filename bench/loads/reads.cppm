// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <memory_resource>

export module bench:reads;

import :random;
import :workload;

/// Reads at random places of one large block: what its pages cost, since nothing else does. Every read misses the
/// caches; whether it also misses the TLB is up to the size of the pages.
export namespace bench {

class reads_load final : public load {
 public:
  enum class order : unsigned char {
    chased,       ///< each read says where the next one is
    independent,  ///< the processor may have many under way
  };

  reads_load(std::pmr::memory_resource* memory, std::size_t bytes, order how);
  ~reads_load() override;

  std::uint64_t run(std::uint64_t operations) override;

 private:
  std::pmr::memory_resource* memory_;
  std::size_t words_;
  order how_;
  std::uint64_t* block_;
  random_numbers random_{9};
  std::uint64_t sum_ = 0;
};

}  // namespace bench
