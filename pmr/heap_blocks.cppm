// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"

export module strata.pmr:heap_blocks;

import :heap_options;
import :heap_request;
import :inspected_blocks;
import :layer;
import :ledger;
import :report;

import strata.mem;

export namespace strata::pmr {

/// What Plan 9 counts of a pool. Bytes unless they say otherwise; arenas = used + free + overhead at every step.
struct heap_figures {
  std::size_t arenas = 0;                    ///< from upstream (cursize)
  std::size_t used = 0;                      ///< in blocks handed out, their headers and slack included (curalloc)
  std::size_t free = 0;                      ///< in all others (curfree)
  std::size_t overhead = 0;                  ///< headers and ends of arenas
  std::size_t frees = 0;                     ///< count: blocks taken back so far (nfree)
  std::size_t frees_at_last_compaction = 0;  ///< what `frees` was then (lastcompact)
  std::size_t compactions = 0;               ///< count
};

}  // namespace strata::pmr

/// The blocks of a heap_resource behind its lock: what is handed out and taken back, found wrong, looked at, written down.
/// Where arenas come from, who is told of misuse and who waits for whom is others' affair (:heap_arenas, :heap_resource).
///
/// A small block that comes back waits, until `waits` others came, before it is looked at: what stands in front of it has
/// come into the cache by then. Whatever asks about the heap settles that first. What turns out to be no block then is kept
/// until it is told. A heap found damaged serves nothing and takes nothing back until clear().
///
/// Any thread, one at a time where Threads say so; nobody else is called under the lock but walk()'s visitor. Nothing
/// throws; O(1) but for arenas' tree, check(), walk() and discard_free().
namespace strata::pmr {

// A block as its caller gave it back.
struct given_block {
  void* at = nullptr;
  std::size_t bytes = 0;
  std::size_t alignment = 1;
};
struct wrong_block {
  mem::heap_fault fault = mem::heap_fault::none;  ///< none: there is no such block
  given_block block;
};

template <threads Threads>
class heap_blocks {
 public:
  static constexpr std::size_t waits = 4;  ///< blocks

  explicit heap_blocks(const heap_options<Threads>& options) noexcept;
  heap_blocks(const heap_blocks&) = delete;
  heap_blocks& operator=(const heap_blocks&) = delete;

  [[nodiscard]] inline const heap_options<Threads>& options() const noexcept { return options_; }

  // --- the short way, as short as it is only where the compiler sees both ends
  /// Null: not so.
  [[nodiscard, gnu::always_inline]] inline void* allocate(std::size_t bytes, std::size_t alignment) noexcept {
    const mem::lock held(lock_);
    if (detour_ != nullptr) [[unlikely]] {
      return nullptr;
    }
    void* const p = heap_.allocate(bytes, alignment);
    if (p != nullptr) [[likely]] {
      ledger_.handed_out(bytes);
    }
    return p;
  }

  enum class taken : std::uint8_t {
    well,
    emptied,  ///< an arena, which may go; or there is something to tell()
    wrongly,  ///< it was none of our blocks: nothing has changed
    detour,   ///< nothing has changed: this way is closed
  };
  struct verdict {
    taken is = taken::well;
    mem::heap_fault fault = mem::heap_fault::none;  ///< when wrongly
  };
  /// Of `due`, which is, afterwards, the block that was looked at. True: well; else `otherwise` says how not. `watched`: an
  /// arena that has become empty matters.
  [[nodiscard, gnu::always_inline]] inline bool deallocate(given_block& due, bool watched,
                                                           verdict& otherwise) noexcept {
    const mem::lock held(lock_);
    if (detour_ != nullptr) [[unlikely]] {
      otherwise = {taken::detour};
      return false;
    }
    ledger_.taken_back(due.bytes);
    if (due.bytes <= may_wait_ && due.at != nullptr) [[likely]] {
      // What stands in front of a block that was not used for a while is far away: it is sent for, and looked at
      // when it has come.
      __builtin_prefetch(mem::at<std::byte>(due.at, -8), 1);
      std::swap(due, waiting_[turn_++ % waiting_.size()]);
      if (due.at == nullptr) [[unlikely]] {
        return true;
      }
    }
    const auto freed = heap_.deallocate(due.at, due.bytes);
    if (freed.fault == mem::heap_fault::none) [[likely]] {
      if ((freed.emptied == nullptr || !(has_excess() || watched)) && wrong_count_ == 0) [[likely]] {
        return true;
      }
      otherwise = {taken::emptied};
    } else {
      ledger_.not_taken_back(due.bytes);
      otherwise = {taken::wrongly, freed.fault};
    }
    return false;
  }

  // --- the long way
  struct answer {
    void* block = nullptr;
    std::size_t region_bytes = 0;  ///< without a block: of an arena that would have one; 0: none would
  };
  [[nodiscard]] answer serve(const heap_request& r) noexcept;
  [[nodiscard]] const char* why_none(const heap_request& r) const noexcept;
  /// A request is refused.
  void failed() noexcept;
  /// A block comes back that does not wait: never a detour, and well when all is damaged.
  [[nodiscard]] verdict put(const given_block& block) noexcept;

  // --- what is wrong
  [[nodiscard]] bool is_damaged() const noexcept;
  /// One that waited and was none of our blocks, once.
  [[nodiscard]] wrong_block next_wrong() noexcept;
  /// The sentence. A pointer that is no block is a fault of the caller's or of the heap's: then it is damaged from now on.
  [[nodiscard]] const char* judge(mem::heap_fault fault) noexcept;

  /// What there is at an address, at a glance. A damaged heap takes everything for a block.
  enum class sight : std::uint8_t {
    block,      ///< what may still be found to be none when it is looked at
    arena,      ///< none, but in an arena
    elsewhere,  ///< outside of all arenas
  };
  [[nodiscard]] sight look_at(const void* p) const noexcept;

  // --- what there is
  [[nodiscard]] statistics stats() const noexcept;
  [[nodiscard]] heap_figures counters() const noexcept;
  [[nodiscard]] fault check() const noexcept;
  [[nodiscard]] fault check(const void* p) const noexcept;
  [[nodiscard]] bool holds(const void* p) const noexcept;
  void walk(absl::FunctionRef<void(const mem::region&)> arenas,
            absl::FunctionRef<void(const mem::heap_block&)> blocks) const;
  void settle_all() const noexcept;
  [[nodiscard]] mem::os_error unknown_to_fork() const noexcept { return lock_.unknown_to_fork(); }

  // --- a block stays, and changes: as heap_resource's members of these names
  [[nodiscard]] std::size_t usable_size(const void* p) const noexcept;
  std::size_t usable_size(void* p, std::size_t bytes) noexcept;
  [[nodiscard]] bool try_resize(void* p, std::size_t old_bytes, std::size_t bytes) noexcept;
  [[nodiscard]] std::size_t try_expand(void* p, std::size_t old_bytes, std::size_t least, std::size_t most) noexcept;
  void set_owner(void* p, block_owner& owner) noexcept;
  /// Pre: `p` is a live block.
  [[nodiscard]] bool is_movable(const void* p) const noexcept;
  /// For a block in its place: movable if that is. Pre: `p` is a live block.
  [[nodiscard]] heap_request like(const void* p, std::size_t bytes, std::size_t alignment) const noexcept;

  // --- arenas
  [[nodiscard]] inline std::size_t arena_bytes() const noexcept { return counters().arenas; }
  struct neighbours {
    arena lower{};  ///< start null: there is none
    arena upper{};
  };
  /// Of an arena that is not ours yet.
  [[nodiscard]] neighbours neighbours_of(const arena& coming) const noexcept;
  /// An arena comes, as one with those, and serves, or null.
  [[nodiscard]] void* add(void* start, std::size_t bytes, bool with_lower, bool with_upper,
                          const heap_request& r) noexcept;
  /// An empty arena goes, if more are empty than may be kept, or in any case; its start null: none does.
  struct leaving {
    void* start = nullptr;
    std::size_t bytes = 0;
  };
  [[nodiscard]] leaving remove_excess() noexcept;
  [[nodiscard]] leaving remove_empty() noexcept;
  /// One of at most so many bytes.
  [[nodiscard]] leaving remove_empty(std::size_t most) noexcept;
  /// Bytes of empty arenas that were of no use for the decay, at `now`.
  [[nodiscard]] std::size_t unused(std::uint64_t now) noexcept;
  /// So many bytes of them went.
  void gave(std::size_t bytes) noexcept;
  /// What is free in arenas that stay goes back to the OS.
  void discard_free() noexcept;
  /// All blocks are void. Returns all arenas, by region::next.
  [[nodiscard]] mem::region* clear() noexcept;

  // --- a compaction, a step at a time
  /// False: there is nothing to move, or one is under way.
  [[nodiscard]] bool start_moving() noexcept;
  [[nodiscard]] mem::heap_step move_one(mem::heap_move& move) noexcept;
  void end_moving() noexcept;

  /// What is known of the blocks under an inspector.
  [[nodiscard]] inline inspected_blocks& inspection() noexcept { return inspected_; }

 private:
  [[nodiscard]] static const char* why_inspected() noexcept { return mem::inspected() ? "inspected" : nullptr; }
  [[nodiscard]] inline bool has_excess() const noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_) {
    const mem::heap_counters c = heap_.counters();
    return c.empty > options_.may_keep(c.regions);
  }
  void settle() const noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  [[nodiscard]] leaving remove(mem::region* r) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  [[nodiscard]] heap_figures figures() const noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);

  const heap_options<Threads> options_;
  const std::size_t may_wait_;  ///< bytes; larger blocks do not wait
  mutable mem::mutex_for<Threads> lock_{"of a heap"};
  const char* damage_ ABSL_GUARDED_BY(lock_) = nullptr;  ///< what was found damaged; null: nothing
  const char* detour_ ABSL_GUARDED_BY(lock_);  ///< null, or why no call takes the short way: damage, inspection
  // Blocks that were deallocated and are not yet looked at, and those that were, and were none. The heap still holds
  // them for used; the ledger does not.
  mutable std::array<given_block, waits> waiting_ ABSL_GUARDED_BY(lock_){};
  std::size_t turn_ ABSL_GUARDED_BY(lock_) = 0;
  mutable std::size_t wrong_count_ ABSL_GUARDED_BY(lock_) = 0;
  mutable ledger ledger_ ABSL_GUARDED_BY(lock_);
  mutable mem::boundary_heap heap_ ABSL_GUARDED_BY(lock_);  ///< its regions are the arenas
  mutable std::array<wrong_block, waits> wrong_ ABSL_GUARDED_BY(lock_){};
  bool moving_ ABSL_GUARDED_BY(lock_) = false;
  std::size_t compactions_ ABSL_GUARDED_BY(lock_) = 0;
  std::size_t frees_at_last_compaction_ ABSL_GUARDED_BY(lock_) = 0;
  mem::decay decay_ ABSL_GUARDED_BY(lock_);
  mem::idleness idle_ ABSL_GUARDED_BY(lock_);
  std::size_t uses_seen_ ABSL_GUARDED_BY(lock_) = 0;
  inspected_blocks inspected_;  ///< a room is a block of the heap; its own words are hidden too
};

}  // namespace strata::pmr
