// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <type_traits>

export module strata.mem:sampling_meter;

import :bytes;
import :thread_number;
import :threads;

/// Counts blocks and bytes, and chooses blocks so that every byte is as likely as any other to bring its block in.
///
/// From one chosen block to the next lies a number of bytes drawn from an exponential distribution of a given mean R: a
/// block of S bytes is chosen with probability 1 - exp(-S/R), whatever came before it and however sizes follow one
/// another. So what was chosen, each block counted as 1 / (1 - exp(-S/R)), is on average what there was; but for blocks of
/// no bytes, which are never chosen.
///
/// A thread counts in an account of its own (:thread_number), with plain loads and stores, and counts down in it to the
/// next block. Threads beyond the numbers share an account, with atomic operations.
///
/// Counts are exact. Those read while others work are each right at some moment, not all at the same.
///
/// Thread exit    an account goes on with the next thread that has its number: the past of an exponential distribution
///                does not matter
/// Fork           the child goes on with what all threads counted. The bytes of a block that a thread it does not have was
///                drawing for just then are left out, and those of that account stand still until its next thread draws
/// Threads        any, or with threads::one one at a time. Nothing throws, allocates or locks
export namespace strata::mem {

/// What a block stands for when it was chosen: in 1024ths, so that sums are exact and what was added can be taken away.
struct sample_weight {
  static constexpr std::uint64_t unit = 1024;

  std::uint64_t blocks = unit;
  std::uint64_t bytes = 0;
};

/// A mean of 0 or 1: every block was chosen, and stands for itself.
[[nodiscard]] sample_weight weight_of(std::size_t bytes, std::size_t mean) noexcept;

struct metered {
  std::size_t allocations = 0;
  std::size_t deallocations = 0;
  std::size_t handed_out = 0;  ///< bytes
  std::size_t taken_back = 0;  ///< bytes

  /// A block that one thread counts in and another out may be seen to go before it came.
  [[nodiscard]] inline std::size_t live() const noexcept {
    return handed_out > taken_back ? handed_out - taken_back : 0;
  }
  [[nodiscard]] inline std::size_t blocks() const noexcept {
    return allocations > deallocations ? allocations - deallocations : 0;
  }
};

template <threads Threads>
class sampling_meter {
 public:
  /// The same seed chooses the same blocks, where one thread calls. Pre: mean > 1.
  sampling_meter(std::size_t mean, std::uint64_t seed) noexcept;
  sampling_meter(const sampling_meter&) = delete;
  sampling_meter& operator=(const sampling_meter&) = delete;

  [[nodiscard]] inline std::size_t mean() const noexcept { return mean_; }

  /// The usual half of counting a block in: false, with nothing counted, when choose() is to do it.
  [[nodiscard]] inline bool passes(std::size_t bytes) noexcept {
    account& mine = here();
    const std::uint64_t left = mine.left.load(std::memory_order_relaxed);
    if (bytes >= left) [[unlikely]]
      return false;
    mine.left.store(left - bytes, std::memory_order_release);
    add(mine.allocations, 1);
    return true;
  }
  /// The other half: counts it in, and says whether it was chosen.
  [[nodiscard]] bool choose(std::size_t bytes) noexcept;

  /// Counts out what choose() counted in on this thread: it came to nothing.
  void undo(std::size_t bytes) noexcept;

  /// The usual half of counting a block out: false, with nothing counted, when take_back() is to do it.
  [[nodiscard]] inline bool passes_back(std::size_t bytes) noexcept {
    if (is_shared()) [[unlikely]]
      return false;
    account& mine = here();
    add(mine.taken_back, bytes);
    add(mine.deallocations, 1);
    return true;
  }
  /// Counts a block out.
  void take_back(std::size_t bytes) noexcept {
    if (!passes_back(bytes)) take_back_shared(bytes);
  }

  [[nodiscard]] metered count() const noexcept;

  /// All blocks are void. Pre: no other call is under way.
  void release() noexcept;

 private:
  // A line of its own, as nobody else writes to it.
  struct alignas(64) account {
    std::atomic<std::uint64_t> left{0};   ///< bytes up to the next that brings its block in; 0: nothing was drawn yet
    std::atomic<std::uint64_t> drawn{0};  ///< bytes handed out, and those left: what is counted down counts them, too
    std::atomic<std::size_t> taken_back{0};
    std::atomic<std::size_t> allocations{0};
    std::atomic<std::size_t> deallocations{0};
    std::atomic<std::uint64_t> random{0};
    std::atomic<std::uint64_t> version{0};  ///< odd while left and drawn are being changed together
    std::atomic<std::uint64_t> settled{0};  ///< bytes handed out before that change

    [[nodiscard]] std::size_t handed_out() const noexcept;
  };

  static constexpr bool many = Threads == threads::any;
  static constexpr std::size_t count_of_accounts = many ? max_thread_number + 1 : 1;

  // One writer: a plain add that others may read.
  static inline void add(std::atomic<std::size_t>& counter, std::size_t n) noexcept {
    counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  [[nodiscard]] static inline bool is_shared() noexcept {
    if constexpr (many) return number_of_this_thread == 0;
    return false;
  }
  // Of threads without a number that of all such, in which nothing is ever left, so that they come to choose().
  [[nodiscard]] inline account& here() noexcept {
    if constexpr (many) return accounts_[number_of_this_thread];
    return accounts_[0];
  }
  [[nodiscard]] std::uint64_t gap(account& of) noexcept;
  [[nodiscard]] bool choose_shared(std::size_t bytes) noexcept;
  void take_back_shared(std::size_t bytes) noexcept;

  const std::size_t mean_;
  const std::uint64_t seed_;
  std::atomic<std::uint64_t> shared_left_{0};
  std::atomic<std::size_t> used_{1};  ///< accounts beyond were never used
  std::array<account, count_of_accounts> accounts_{};
};

}  // namespace strata::mem
