// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <span>

export module strata.mem:shadow_batch;

import :page_run;

/// Blocks that were deallocated and wait for their guards, which are set for all of them together: pages, to be had in
/// order. When is told by how many there are, by their bytes, and by how long the first has waited.
///
/// One thread at a time; nothing throws. O(1); in order O(n log n).
export namespace strata::mem {

class shadow_batch {
 public:
  struct bounds {
    std::size_t blocks = 1;         ///< most that wait; 1: none does
    std::size_t bytes = 0;          ///< most that wait, but for the last block
    std::uint64_t nanoseconds = 0;  ///< oldest that waits, as long as somebody looks
  };

  explicit shadow_batch(const bounds& most) noexcept : most_(most) {}
  ~shadow_batch();
  shadow_batch(const shadow_batch&) = delete;
  shadow_batch& operator=(const shadow_batch&) = delete;

  /// Gets the memory for it, or says why not. Once, first.
  [[nodiscard]] os_error open() noexcept;

  [[nodiscard]] inline bool is_on() const noexcept { return most_.blocks > 1; }

  /// A block that begins on a page waits, and takes so many bytes. Pre: is_on(), not is_full().
  void add(std::uint32_t page, std::size_t bytes) noexcept;

  [[nodiscard]] inline std::size_t blocks() const noexcept { return blocks_; }
  [[nodiscard]] inline std::size_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] inline bool is_full() const noexcept { return blocks_ == most_.blocks || bytes_ > most_.bytes; }
  /// Whether the first has waited too long, by the clock, at which each 32nd call looks.
  [[nodiscard]] bool is_old() noexcept;
  /// The same at `now`.
  [[nodiscard]] bool is_old(std::uint64_t now) const noexcept;

  /// All pages, in order.
  [[nodiscard]] std::span<const std::uint32_t> sorted() noexcept;
  /// Nobody waits any more.
  void clear() noexcept;

 private:
  const bounds most_;
  page_run memory_;
  std::uint32_t* pages_ = nullptr;
  std::size_t blocks_ = 0;
  std::size_t bytes_ = 0;
  std::uint64_t since_ = 0;
  std::uint32_t calls_ = 0;  ///< since the clock was looked at
};

}  // namespace strata::mem
