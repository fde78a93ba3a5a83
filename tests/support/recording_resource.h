// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <limits>
#include <map>
#include <memory_resource>
#include <mutex>

#include "tests/support/findings.h"
#include "tests/support/own_memory.h"

namespace strata::test {

struct recording_options {
  /// What becomes of a fault found.
  findings::manner report = findings::manner::fail_the_test;
  /// Requests above this many bytes are refused with std::bad_alloc, so that impossible ones never reach malloc.
  std::size_t max_request = std::size_t{1} << 30;
  /// Alignments above this many bytes are refused likewise.
  std::size_t max_alignment = std::size_t{1} << 30;
  /// Refuses what would bring the live bytes above this.
  std::size_t max_live = std::size_t{4} << 30;
  /// Requests kept by the log since the last forget_requests(); later ones still count in the extremes.
  std::size_t log_limit = std::size_t{1} << 16;
};

/// One call of allocate, granted or not.
struct request {
  std::size_t bytes = 0;
  std::size_t alignment = 0;
  bool granted = false;

  friend bool operator==(const request&, const request&) = default;
};

/// What is out at one moment.
struct balance {
  std::size_t blocks = 0;
  std::size_t bytes = 0;

  friend bool operator==(const balance&, const balance&) = default;
};

/// No more blocks, and no more bytes.
[[nodiscard]] inline bool no_more_than(const balance& now, const balance& before) {
  return now.blocks <= before.blocks && now.bytes <= before.bytes;
}

void PrintTo(const balance& out, std::ostream* stream);

/// An upstream that remembers every block and checks every call.
///
/// Checks at allocate     alignment is a power of two; what its own upstream gave is not null, aligned, and over no live block
/// Checks at deallocate   the pointer is a live block, size and alignment are those of its allocation, its bounds were not
///                        written
/// Checks at destruction  nothing is live; what is, is reported and freed
///
/// Role           source over malloc, or adaptor when constructed over an upstream
/// Thread safety  every member from any thread
/// Contents       over malloc, blocks come filled with 0xA5 and are filled with 0xDD when they go; 64 bytes on both
///                sides are watched in plain builds, in ASan builds the neighbourhood is poisoned and the first wrong access dies
/// Heap           its own memory is not counted (own_memory.h)
/// Throws         std::bad_alloc above the limits, else what its upstream throws
class recording_resource final : public std::pmr::memory_resource {
 public:
  explicit recording_resource(const recording_options& options = {}) : recording_resource(nullptr, options) {}
  /// \param upstream  asked for every block; null for malloc
  explicit recording_resource(std::pmr::memory_resource* upstream, const recording_options& options = {});
  ~recording_resource() override;
  recording_resource(const recording_resource&) = delete;
  recording_resource& operator=(const recording_resource&) = delete;

  [[nodiscard]] balance live() const;
  /// Most bytes ever live at once.
  [[nodiscard]] std::size_t peak_bytes() const;
  [[nodiscard]] std::size_t allocations() const;    ///< granted since construction
  [[nodiscard]] std::size_t deallocations() const;  ///< accepted since construction

  /// Requests since forget_requests(), the oldest first, at most log_limit of them.
  [[nodiscard]] own_vector<request> requests() const;
  [[nodiscard]] std::size_t request_count() const;
  [[nodiscard]] std::size_t largest_request() const;   ///< bytes; 0 when there was none
  [[nodiscard]] std::size_t smallest_request() const;  ///< bytes; SIZE_MAX when there was none
  void forget_requests();

  [[nodiscard]] const findings& found() const noexcept { return found_; }

 private:
  struct block {
    std::size_t bytes;
    std::size_t alignment;
  };
  using block_map = std::map<std::uintptr_t, block, std::less<>, own_allocator<std::pair<const std::uintptr_t, block>>>;

  void* do_allocate(std::size_t bytes, std::size_t alignment) override;
  void do_deallocate(void* memory, std::size_t bytes, std::size_t alignment) override;
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }

  bool admit(std::size_t bytes, std::size_t alignment);
  void enter(void* memory, std::size_t bytes, std::size_t alignment);
  void* obtain(std::size_t bytes, std::size_t alignment);
  void give_back(void* memory, block was) noexcept;

  std::pmr::memory_resource* const upstream_;  // null: malloc
  const recording_options options_;
  findings found_;

  mutable std::mutex mutex_;
  block_map live_;  // by address
  balance now_;
  std::size_t peak_ = 0;
  std::size_t allocations_ = 0;
  std::size_t deallocations_ = 0;
  own_vector<request> log_;
  std::size_t request_count_ = 0;
  std::size_t largest_ = 0;
  std::size_t smallest_ = std::numeric_limits<std::size_t>::max();
};

}  // namespace strata::test
