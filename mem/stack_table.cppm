// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/base/thread_annotations.h"

export module strata.mem:stack_table;

import :lock_watch;
import :mutex;
import :page_run;

/// Call stacks by number: many blocks remember few places, each in four bytes.
///
/// A stack is kept once and for good; its number is where it lies, in words of 8 bytes. Nothing that was written is
/// changed or moved.
///
///   heads   | number of the stack put in last, for each hash     |
///   chunk 0 | next, tag | return addresses … | next, tag | …     |  64 KiB
///   chunk 1 | …                                                  |  twice as much, and so on
///
/// `next` is a number of the same hash, 0 at the end; `tag` is the rest of the hash and the number of addresses.
///
/// Memory comes from the OS as stacks come: the heads, a 32nd of what the table may take, with the first of them; then
/// chunk after chunk. It goes back at the end.
///
/// Any thread. insert() takes no lock when the stack is known; a new one takes it. look_up() takes none, so it is also
/// for signal handlers, whatever the interrupted thread was at. A fork leaves the lock free and the table whole.
/// Nothing throws; O(1) expected.
export namespace strata::mem {

struct stack_table_options {
  std::size_t max_bytes = std::size_t{16} << 20;  ///< most memory it may take from the OS; up to 32 GiB are used
};

class stack_table {
 public:
  using stack = std::span<const void* const>;  ///< return addresses, innermost first

  static constexpr std::uint32_t none = 0;       ///< no stack has this number
  static constexpr std::size_t max_depth = 255;  ///< addresses; what a stack has beyond is left out

  explicit stack_table(const stack_table_options& options = {}) noexcept;
  ~stack_table();
  stack_table(const stack_table&) = delete;
  stack_table& operator=(const stack_table&) = delete;

  /// The number of a stack; of the same stack always the same. none: it is empty, or new and there is no room for it.
  [[nodiscard]] std::uint32_t insert(stack addresses) noexcept;

  /// The stack of a number; empty for none, and for nearly any number that insert() did not return. It stays readable
  /// as long as the table lives. Signals: yes.
  [[nodiscard]] stack look_up(std::uint32_t number) const noexcept;

  /// Stacks there are.
  [[nodiscard]] inline std::size_t size() const noexcept { return size_.load(std::memory_order_relaxed); }
  /// Taken from the OS.
  [[nodiscard]] inline std::size_t bytes() const noexcept { return bytes_.load(std::memory_order_relaxed); }
  /// Times that insert() had no room: the table may not take more, or the OS gave none.
  [[nodiscard]] inline std::size_t refused() const noexcept { return refused_.load(std::memory_order_relaxed); }

  /// What contradicts what, or null. O(stacks), under the lock.
  [[nodiscard]] const char* check() const noexcept;

  /// Why the lock is not known to fork(), if it is not.
  [[nodiscard]] inline os_error unknown_to_fork() const noexcept { return lock_.unknown_to_fork(); }

 private:
  using word = std::uint64_t;
  struct record {
    std::uint32_t next;
    std::uint32_t tag;
  };
  using head = std::atomic<std::uint32_t>;

  static constexpr std::size_t first_chunk_words = 8192;
  static constexpr std::size_t max_chunks = 19;  ///< more would have numbers of more than 32 bits
  static constexpr std::size_t max_heads = std::size_t{1} << 24;

  /// Where chunk `i` begins, as a number.
  [[nodiscard]] static inline constexpr std::size_t first_number(std::size_t i) noexcept {
    return ((std::size_t{1} << i) - 1) * first_chunk_words;
  }
  [[nodiscard]] static inline constexpr std::size_t chunk_of(std::uint32_t number) noexcept {
    return static_cast<std::size_t>(std::bit_width(number / first_chunk_words + 1)) - 1;
  }

  [[nodiscard]] record* at(std::uint32_t number) const noexcept;
  [[nodiscard]] std::uint32_t find(std::uint32_t first, std::uint32_t tag, stack addresses) const noexcept;
  [[nodiscard]] std::uint32_t refuse() noexcept;
  [[nodiscard]] head* make_heads() noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  [[nodiscard]] std::uint32_t make_room(std::size_t words) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);

  const std::size_t max_bytes_;
  const std::size_t head_count_;  ///< a power of two, or 0: there is room for nothing

  std::atomic<head*> heads_{nullptr};                    ///< set once
  std::array<std::atomic<word*>, max_chunks> chunks_{};  ///< each set once, in order
  std::atomic<std::uint32_t> end_{1};                    ///< all records below are whole; changed under the lock
  std::atomic<std::size_t> size_{0};                     ///< changed under the lock
  std::atomic<std::size_t> bytes_{0};                    ///< the same
  std::atomic<std::size_t> refused_{0};
  mutable mutex lock_{lock_rank::call_stacks,
                      "of call stacks"};  ///< nothing else is taken under it, and others may be held
  std::array<page_run, max_chunks + 1> runs_ ABSL_GUARDED_BY(lock_){};  ///< of the chunks; the last of the heads
  std::size_t chunks_made_ ABSL_GUARDED_BY(lock_) = 0;
};

}  // namespace strata::mem
