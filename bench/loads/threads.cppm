// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <memory_resource>
#include <vector>

export module bench:threads;

import :churn;
import :crew;
import :random;
import :workload;

/// Several threads in one memory.
export namespace bench {

/// Each thread churns a live set of its own.
class threads_churn_load final : public load {
 public:
  threads_churn_load(std::pmr::memory_resource* memory, std::size_t threads, std::size_t live, std::size_t least,
                     std::size_t most);
  ~threads_churn_load() override;

  /// Operations of all threads together.
  std::uint64_t run(std::uint64_t operations) override;

 private:
  std::vector<std::unique_ptr<churn_load>> loads_;
  crew crew_;
};

/// All threads churn one live set: most blocks are deallocated by another thread than allocated them.
class slots_load final : public load {
 public:
  slots_load(std::pmr::memory_resource* memory, std::size_t threads, std::size_t slots, std::size_t least,
             std::size_t most);
  ~slots_load() override;

  /// One operation puts a new block in a random slot and deallocates the one that was there.
  std::uint64_t run(std::uint64_t operations) override;

 private:
  /// Stands at the start of each block, which is at least so large.
  struct header {
    std::size_t bytes;
  };
  header* allocate(random_numbers& random);

  std::pmr::memory_resource* memory_;
  log_uniform_sizes sizes_;
  std::vector<std::atomic<header*>> slots_;
  std::vector<random_numbers> random_;  // by thread
  crew crew_;
};

}  // namespace bench
