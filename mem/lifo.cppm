// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cstdint>

export module strata.mem:lifo;

/// A lock-free stack of numbers (Treiber 1986) that many threads push and pop: what was pushed last comes first.
///
/// A number stands for a slot whose link word lies elsewhere, in memory that outlives the lifo's use: `links(i)` finds
/// it. Slots themselves are never read nor written, so their owners may do with them what they like.
///
///   head   | top : 32 | tag : 32 |        link(i)   next below i, or `none`     while i is in
///                                                   `taken`                     while i is out
///                                                   `entering`                  while a push of i is under way
///
/// Invariants
///   1. Every change of the head is a compare-and-swap that adds to the tag.
///   2. A link is changed only by who takes its number out or puts it in: after that change of the head, or before it.
///   So while head and tag are the same the top's link is the same: a pop that read a link and then lost the processor
///   cannot install it after others have moved (ABA), but for exactly 2^32 moves in between.
///   3. All changes of the head are read-modify-write: whoever reads it sees what every earlier push released, links
///   and the slot's contents alike.
///
/// Any thread; nothing throws, allocates, locks or waits. A child of fork() finds it whole, but for numbers that
/// threads of the parent had in hand.
export namespace strata::mem {

/// What a test replaces to force an interleaving.
struct unscheduled {
  static constexpr std::uint32_t tag_step = 1;
  static inline void before_exchange() noexcept {}  ///< a pop has read the top's link and is about to move the head
};

template <class Schedule = unscheduled>
class lifo {
 public:
  using number = std::uint32_t;
  using link = std::atomic<std::uint32_t>;

  static constexpr number none = 0xFFFF'FFFF;
  static constexpr number taken = 0xFFFF'FFFE;
  static constexpr number entering = 0xFFFF'FFFD;
  static constexpr number limit = entering;  ///< numbers are below this

  /// Takes out what was pushed last; `none` when nothing is in.
  template <class Links>
  [[nodiscard]] inline number pop(const Links& links) noexcept {
    std::uint64_t head = head_.load(std::memory_order_acquire);
    for (;;) {
      const number top = top_of(head);
      if (top == none) return none;
      const number below = links(top).load(std::memory_order_relaxed);
      Schedule::before_exchange();
      if (head_.compare_exchange_weak(head, moved(head, below), std::memory_order_acquire)) {
        links(top).store(taken, std::memory_order_relaxed);
        return top;
      }
    }
  }

  /// Puts in what is out; false, nothing changed, when it is in already.
  template <class Links>
  [[nodiscard]] inline bool push(const Links& links, number n) noexcept {
    number state = taken;
    if (!links(n).compare_exchange_strong(state, entering, std::memory_order_relaxed)) return false;
    push_chain(links, n, n);
    return true;
  }

  /// Puts in `first` to `last` at once. Pre: they are linked in this order and were never in.
  template <class Links>
  inline void push_chain(const Links& links, number first, number last) noexcept {
    std::uint64_t head = head_.load(std::memory_order_relaxed);
    do {
      links(last).store(top_of(head), std::memory_order_relaxed);
    } while (
        !head_.compare_exchange_weak(head, moved(head, first), std::memory_order_release, std::memory_order_relaxed));
  }

 private:
  [[nodiscard]] static inline constexpr number top_of(std::uint64_t head) noexcept {
    return static_cast<number>(head >> 32);
  }
  /// The head with another top and the next tag.
  [[nodiscard]] static inline constexpr std::uint64_t moved(std::uint64_t head, number top) noexcept {
    return (std::uint64_t{top} << 32) | ((head + Schedule::tag_step) & 0xFFFF'FFFFU);
  }

  std::atomic<std::uint64_t> head_{std::uint64_t{none} << 32};

  static_assert(std::atomic<std::uint64_t>::is_always_lock_free && link::is_always_lock_free);
};

}  // namespace strata::mem
