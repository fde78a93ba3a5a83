// SPDX-License-Identifier: Apache-2.0
module;
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory_resource>
#include <vector>

module bench:footprint.posix;

import :contenders;
import :footprint;
import :random;
import :workload;

import process_usage;

namespace bench {
namespace {

struct block {
  void* at;
  std::size_t bytes;
};

/// Blocks in some memory, written to in full, and how much the process grew for them.
class live_set {
 public:
  /// The books are made, and touched, before the process is first measured.
  live_set(std::pmr::memory_resource& memory, std::size_t most_blocks)
      : memory_(opaque(&memory)), blocks_(most_blocks) {
    before_ = process_usage::resident_bytes();
  }
  live_set(const live_set&) = delete;
  live_set& operator=(const live_set&) = delete;
  ~live_set() {
    while (count_ != 0) remove_any();
  }

  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  [[nodiscard]] std::size_t count() const { return count_; }

  void add(const log_uniform_sizes& sizes) {
    const std::size_t bytes = sizes.pick(random_);
    void* at = memory_->allocate(bytes, any_size_alignment);
    std::memset(at, 1, bytes);
    blocks_.at(count_++) = {at, bytes};
    bytes_ += bytes;
  }

  void remove_any() {
    block& chosen = blocks_[random_.below(count_)];
    memory_->deallocate(chosen.at, chosen.bytes, any_size_alignment);
    bytes_ -= chosen.bytes;
    chosen = blocks_[--count_];
  }

  [[nodiscard]] double resident_by_live() const {
    const std::uint64_t now = process_usage::resident_bytes();
    if (before_ == 0 || now <= before_) return std::numeric_limits<double>::quiet_NaN();
    return static_cast<double>(now - before_) / static_cast<double>(bytes_);
  }

 private:
  std::pmr::memory_resource* memory_;
  random_numbers random_{3};
  std::vector<block> blocks_;  // the first count_ of them
  std::size_t count_ = 0;
  std::size_t bytes_ = 0;
  std::uint64_t before_ = 0;
};

double live(std::pmr::memory_resource& memory) {
  const log_uniform_sizes sizes(16, 1024);
  live_set set(memory, 100'000);
  while (set.count() < 100'000) set.add(sizes);
  for (int i = 0; i < 1'000'000; ++i) {
    set.remove_any();
    set.add(sizes);
  }
  return set.resident_by_live();
}

double refill(std::pmr::memory_resource& memory) {
  constexpr std::size_t kBytes = std::size_t{64} << 20;
  const log_uniform_sizes small(16, 256);
  const log_uniform_sizes large(257, 4096);
  live_set set(memory, kBytes / 16);
  while (set.bytes() < kBytes) set.add(small);
  for (std::size_t rest = set.count() / 10; set.count() > rest;) set.remove_any();
  while (set.bytes() < kBytes) set.add(large);
  return set.resident_by_live();
}

/// What `measure` returns in a child of this process.
double in_child(const contender& where, double (*measure)(std::pmr::memory_resource&)) {
  double result = std::numeric_limits<double>::quiet_NaN();
  int ends[2];
  if (::pipe(ends) != 0) return result;
  const pid_t child = ::fork();
  if (child == 0) {
    where.run([&](std::pmr::memory_resource& memory) { result = measure(memory); });
    ::_exit(::write(ends[1], &result, sizeof result) == sizeof result ? 0 : 1);
  }
  ::close(ends[1]);
  if (child > 0) {
    if (::read(ends[0], &result, sizeof result) != sizeof result) result = std::numeric_limits<double>::quiet_NaN();
    while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  ::close(ends[0]);
  return result;
}

}  // namespace

footprint measure_footprint(const contender& where) { return {in_child(where, live), in_child(where, refill)}; }

}  // namespace bench
