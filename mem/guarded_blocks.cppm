// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>

#include "absl/base/thread_annotations.h"

export module strata.mem:guarded_blocks;

import :address_outline;
import :block_book;
import :bytes;
import :guard_shape;
import :mutex;
import :page_guards;
import :page_run;
import :threads;

/// Blocks between inaccessible pages, in memory that somebody else brings; what is known of them lies apart.
///
///   | guard | … fill | block | fill … | guard |     see guard_shape; fill: what is next to the block on its own pages
///
/// Fill is written when a block comes and compared when it goes, up to fill_bytes on either side: it shows what was
/// written between the block and a guard that alignment keeps away from it. A block that went may be held for a while,
/// all of it inaccessible and its memory back with the OS, so that whoever still uses it faults.
///
/// Whoever brings the memory calls in this order: promise(), then admit() or withdraw(); take(), then put_away(), which
/// says what goes back; after that next_released() until it has nothing. No call is made to anybody under the lock, but
/// to the OS.
///
/// What cannot be made accessible again is stranded: held until the OS lets go of it, and tried again.
///
/// Any thread, or with threads::one one at a time, without a lock. A fork leaves the lock free. Nothing throws; only
/// promise() takes memory. O(1) expected and some system calls; may_know() is one load.
export namespace strata::mem {

enum class guarded_fault : std::uint8_t {
  none,
  absent,           ///< no block that is known begins there
  freed_twice,      ///< it is held
  other_size,       ///< live, but not of that size
  other_alignment,  ///< live, but not of that alignment
  overrun,          ///< written beyond its end
  underrun,         ///< written before its start
};

[[nodiscard]] const char* describe(guarded_fault fault) noexcept;

struct guarded_plan {
  guard_sides sides{};
  std::size_t hold_bytes = 0;      ///< most held, whole pages with guards
  std::size_t mapping_budget = 0;  ///< see page_guards
};

struct guarded_figures {
  std::size_t blocks = 0;         ///< live
  std::size_t bytes = 0;          ///< of live blocks
  std::size_t whole = 0;          ///< with what is around them
  std::size_t held = 0;           ///< bytes, whole, stranded ones included
  std::size_t stranded = 0;       ///< bytes, of those held
  std::size_t protected_now = 0;  ///< live blocks whose guards cost mappings
};

template <threads Threads>
class guarded_blocks {
 public:
  static constexpr std::size_t fill_bytes = 256;

  explicit guarded_blocks(const guarded_plan& plan) noexcept;
  /// Guards of blocks that are live are lifted; what is held must have been let go.
  ~guarded_blocks();
  guarded_blocks(const guarded_blocks&) = delete;
  guarded_blocks& operator=(const guarded_blocks&) = delete;

  /// False: no block that is known here begins there.
  [[nodiscard]] inline bool may_know(const void* p) const noexcept { return outline_.may_hold(address(p)); }

  [[nodiscard]] inline const page_guards& guards() const noexcept { return guards_; }

  /// What a block takes; false when no machine has so much.
  [[nodiscard]] bool shape_of(std::size_t bytes, std::size_t alignment, guard_shape& out) const noexcept;

  /// Whether there are mappings left for the guards of another block.
  [[nodiscard]] bool has_room() const noexcept;

  /// An entry for a block to come; null and why when there is no memory for it.
  [[nodiscard]] block_book::promise_result promise() noexcept;
  void withdraw(book_entry* entry) noexcept;

  struct arrival {
    void* start;  ///< from whoever brings it: `size.whole` bytes
    guard_shape size;
    std::size_t bytes;
    std::size_t alignment;
  };
  struct admitted {
    void* block;   ///< null: it had to be guarded and could not be, and is nobody's
    bool guarded;  ///< on every side that was wanted
    bool over_budget;
    os_error error{};  ///< why not
    bool stranded;     ///< with a null block: the memory must not go back yet
  };
  /// Guards and fills a block and enters it. One that cannot be guarded, or on one side only, is entered all the same,
  /// unless it `must` be.
  [[nodiscard]] admitted admit(book_entry* entry, const arrival& block, bool must) noexcept;

  /// What goes back to whoever brought it; nothing, with a null start.
  struct departure {
    void* start = nullptr;
    std::size_t whole = 0;
    std::size_t alignment = 0;
  };

  struct taken {
    book_entry* entry = nullptr;  ///< the caller's, when there is no fault
    guarded_fault fault = guarded_fault::none;
    const void* where = nullptr;  ///< the byte that was written
    std::size_t bytes = 0;        ///< of the block, as it came
    std::size_t alignment = 0;    ///< likewise
  };
  /// Takes a live block out of use. A fault changes nothing.
  [[nodiscard]] taken take(const void* block, std::size_t bytes, std::size_t alignment) noexcept;

  /// Holds what was taken, or lets it go. `refused` says why it is stranded, if it is.
  [[nodiscard]] departure put_away(book_entry* entry, os_error& refused) noexcept;

  /// The oldest block held, while more is held than may be, or while any is when `all`. Stops at what the OS refuses.
  [[nodiscard]] departure next_released(bool all) noexcept;

  /// Whether a live block with a guard on every side begins there.
  [[nodiscard]] bool is_guarded(const void* p) const noexcept;

  struct contradiction {
    const char* sentence = nullptr;
    const void* where = nullptr;
  };
  /// The fill of every live block, and the book. O(blocks).
  [[nodiscard]] contradiction check() const noexcept;

  [[nodiscard]] guarded_figures figures() const noexcept;

  /// Why the lock is not known to fork(), if it is not.
  [[nodiscard]] inline os_error unknown_to_fork() const noexcept { return lock_.unknown_to_fork(); }

 private:
  [[nodiscard]] taken judge(book_entry* entry, std::size_t bytes, std::size_t alignment) const noexcept;
  [[nodiscard]] guard_shape shape_again(const book_entry* entry) const noexcept;
  void fill(const book_entry* entry) const noexcept;
  [[nodiscard]] guarded_fault inspect(const book_entry* entry, const void*& where) const noexcept;
  void guard_range(book_entry* entry, void* base, std::size_t bytes, admitted& out) noexcept;
  [[nodiscard]] os_error lift(book_entry* entry) noexcept;
  void strand(book_entry* entry) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  [[nodiscard]] departure departure_of(const book_entry* entry) const noexcept;

  const guarded_plan plan_;
  const std::size_t page_;
  const std::uint64_t key_;
  page_guards guards_;
  address_outline outline_;  ///< of blocks that are live, leaving or held; changed under the lock
  mutable mutex_for<Threads> lock_{"of guarded blocks"};
  block_book book_ ABSL_GUARDED_BY(lock_);
  guarded_figures figures_ ABSL_GUARDED_BY(lock_);
};

}  // namespace strata::mem
