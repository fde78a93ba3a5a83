// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cstddef>
#include <cstdint>

export module strata.mem:lifo;

import :threads;

/// A lock-free stack of numbers (Treiber 1986) that many threads push and pop: what was pushed last comes first.
///
/// A number stands for a slot whose link word lies elsewhere, in memory that outlives the lifo's use: `links(i)` finds
/// it. Slots themselves are never read nor written, so their owners may do with them what they like.
///
///   head   | top : 32 | tag : 32 |        link(i)   next below i, or `none`     while i is in
///                                                   `taken`                     while i is out
///                                                   `idle`                      while i is out but claimed: by who
///                                                                               pushes it, or keeps it for later
///
/// Invariants
///   1. Every change of the head is a compare-and-swap that adds to the tag.
///   2. A link is changed only by who takes its number out or puts it in: after that change of the head, or before it.
///   So while head and tag are the same the top's link is the same: a pop that read a link and then lost the processor
///   cannot install it after others have moved (ABA), but for exactly 2^32 moves in between. The same holds for the
///   links further down that a pop of many reads.
///   3. All changes of the head are read-modify-write: whoever reads it sees what every earlier push released, links
///   and the slot's contents alike.
///
/// Any thread, or with threads::one one at a time and no read-modify-write; nothing throws, allocates, locks or waits.
/// A child of fork() finds it whole, but for numbers that threads of the parent had in hand.
export namespace strata::mem {

/// What a test replaces to force an interleaving.
struct unscheduled {
  static constexpr std::uint32_t tag_step = 1;
  static inline void before_exchange() noexcept {}  ///< a pop has read the top's link and is about to move the head
};

template <class Schedule = unscheduled, threads Threads = threads::any>
class lifo {
 public:
  using number = std::uint32_t;
  using link = std::atomic<std::uint32_t>;

  static constexpr number none = 0xFFFF'FFFF;
  static constexpr number taken = 0xFFFF'FFFE;
  static constexpr number idle = 0xFFFF'FFFD;
  static constexpr number limit = idle;  ///< numbers are below this

  /// Takes out what was pushed last, which is then `taken`; `none` when nothing is in.
  template <class Links>
  [[nodiscard]] inline number pop(const Links& links) noexcept {
    number top = none;
    if (pop_some(links, &top, 1) == 0) return none;
    links(top).store(taken, std::memory_order_relaxed);
    return top;
  }

  /// Takes out up to `wanted` at once, the last pushed first; they are then `idle`. Returns how many: fewer only when
  /// no more are in.
  template <class Links>
  [[nodiscard]] inline std::size_t pop_some(const Links& links, number* out, std::size_t wanted) noexcept {
    std::uint64_t head = head_.load(std::memory_order_acquire);
    for (;;) {
      number below = top_of(head);
      std::size_t count = 0;
      while (count < wanted && below < limit) {
        out[count++] = below;
        below = links(below).load(std::memory_order_acquire);  // whoever reads a number can find its link
      }
      if (count == 0) return 0;
      Schedule::before_exchange();
      // A link read late may be no number. Then the head has moved, and this fails.
      if (exchange(head, below, std::memory_order_acquire)) {
        for (std::size_t i = 0; i < count; ++i) links(out[i]).store(idle, std::memory_order_relaxed);
        return count;
      }
    }
  }

  /// Takes out all and returns the one pushed last, linked as they were. They are nobody's: push_chain() or mark them.
  [[nodiscard]] inline number take_all() noexcept {
    std::uint64_t head = head_.load(std::memory_order_acquire);
    while (!exchange(head, none, std::memory_order_acquire)) {
    }
    return top_of(head);
  }

  /// Puts in what is out; false, nothing changed, when it is in already.
  template <class Links>
  [[nodiscard]] inline bool push(const Links& links, number n) noexcept {
    link& own = links(n);
    number state = taken;
    if constexpr (Threads == threads::any) {
      if (!own.compare_exchange_strong(state, idle, std::memory_order_relaxed)) return false;
    } else {
      if (own.load(std::memory_order_relaxed) != state) return false;
    }
    push_chain(links, n, n);
    return true;
  }

  /// Puts in `first` to `last` at once. Pre: they are linked in this order and are `idle`, or were never in.
  template <class Links>
  inline void push_chain(const Links& links, number first, number last) noexcept {
    std::uint64_t head = head_.load(std::memory_order_relaxed);
    do {
      links(last).store(top_of(head), std::memory_order_release);
    } while (!exchange(head, first, std::memory_order_release));
  }

 private:
  [[nodiscard]] static inline constexpr number top_of(std::uint64_t head) noexcept {
    return static_cast<number>(head >> 32);
  }
  /// The head with another top and the next tag.
  [[nodiscard]] static inline constexpr std::uint64_t moved(std::uint64_t head, number top) noexcept {
    return (std::uint64_t{top} << 32) | ((head + Schedule::tag_step) & 0xFFFF'FFFFU);
  }

  // Moves the head from `head` to another top; false, with `head` as it is now, when it is no longer that.
  [[nodiscard]] inline bool exchange(std::uint64_t& head, number top, std::memory_order success) noexcept {
    if constexpr (Threads == threads::any) {
      return head_.compare_exchange_weak(head, moved(head, top), success, std::memory_order_acquire);
    } else {
      head_.store(moved(head, top), std::memory_order_relaxed);
      return true;
    }
  }

  std::atomic<std::uint64_t> head_{std::uint64_t{none} << 32};

  static_assert(std::atomic<std::uint64_t>::is_always_lock_free && link::is_always_lock_free);
};

}  // namespace strata::mem
