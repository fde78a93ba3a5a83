// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "absl/base/thread_annotations.h"

export module strata.mem:shadow_pool;

import :bytes;
import :decay;
import :mutex;
import :page_guards;
import :page_run;
import :shadow_addresses;
import :shadow_batch;
import :shadow_exits;
import :shadow_mappings;
import :shadow_mirrors;
import :shadow_object;
import :shadow_slab;
import :shadow_slabs;
import :shadow_space;
import :size_class;
import :threads;

import strata.platform;

/// Blocks of which no two live ones share a virtual page, over physical pages that they do share (Dhurjati and Adve,
/// DSN 2006, with whole slabs mapped where they map objects).
///
///   object    | slab | slab | large | …      sealed shared memory without a name, grown by use
///   zones     | mirror of slab | mirror of slab | large | …
///
/// Allocating takes a slot, and a mirror whose page was never handed out: no system call but for a mirror, once for all
/// its pages. Deallocating puts guards on the block's pages, at once or in batches sorted by address; then the slot is
/// free again, and its next block has another address. A mirror all of whose pages are used and dead is replaced by
/// nothing at all, which merges with its neighbours: mappings are bounded by what lives, not by what ever lived.
///
/// Why no two live blocks share storage: storage is a slot; a slot is taken by one block at a time (bits of the slab).
/// Why no old address reaches a new block: a slot is free only once every page of its last block faults, through the one
/// mirror in which that block was handed out; that page is not handed out again; and when its address is, another mapping
/// has replaced the mirror, guards, aliases and all.
///
/// What is kept and of no use, slabs without blocks and zones without mappings, goes back with trim(); with a decay, what
/// was of no use for so long goes at tick(), and when a mirror is made or the last block leaves a slab.
///
/// Threads    any; one lock, not held while a single guard is set
/// Fork       the child has a copy of everything at the same addresses, made before the fork by the thread that forks; or,
///            as the plan says or where there is no memory for it, nothing: its blocks fault, and it serves none
/// Errors     values; deallocating cannot fail: what cannot be guarded is counted
export namespace strata::mem {

struct shadow_plan {
  const char* name = "shadow";        ///< outlives the pool
  std::size_t max_mappings = 0;       ///< 0: a quarter of what the OS allows a process; half of it for guards
  std::size_t max_address_bytes = 0;  ///< 0: 64 GiB
  std::size_t max_memory_bytes = 0;   ///< 0: as much as there is
  std::size_t batch_blocks = 1;       ///< deallocations of which guards are set together; 1: at once
  std::size_t batch_bytes = std::size_t{1} << 20;  ///< most that waits for its guards
  std::uint64_t batch_nanoseconds = 100'000'000;   ///< oldest that waits, looked at with each call
  shadow_hold hold{};
  decay_period decay{no_decay};
  bool copy_at_fork = true;
};

/// What a pointer that comes back is.
enum class shadow_answer : std::uint8_t {
  freed,  ///< a block of that size and alignment, and gone now; else nothing has changed
  wrong_size,
  wrong_alignment,
  freed_before,
  inside,    ///< of a block, or of one that was
  no_block,  ///< a page of this pool that holds no block, or not there
};

struct shadow_figures {
  std::size_t memory = 0;       ///< bytes of physical memory that slabs and large blocks have
  std::size_t held = 0;         ///< of these, in slots and pages that blocks have
  std::size_t mappings = 0;     ///< that this pool costs the process, at most
  std::size_t addresses = 0;    ///< bytes of zones
  std::size_t quarantined = 0;  ///< bytes of these that are dead and wait
  std::size_t waiting = 0;      ///< deallocated blocks that have no guard yet
  std::size_t waiting_bytes = 0;
  std::size_t guarded = 0;  ///< blocks that were given a guard so far
  std::size_t exposed = 0;  ///< blocks that were deallocated and could be given none
  std::size_t calls = 0;    ///< system calls that made blocks fault
};

class shadow_pool {
 public:
  explicit shadow_pool(const shadow_plan& plan) noexcept;
  /// Every block is dead; addresses serve again as the plan says.
  ~shadow_pool();
  shadow_pool(const shadow_pool&) = delete;
  shadow_pool& operator=(const shadow_pool&) = delete;

  /// Makes the object, or says why not: nothing is served then. Once, first.
  [[nodiscard]] os_error open() noexcept;

  struct served {
    void* block = nullptr;  ///< null: refused
    shadow_refusal why = shadow_refusal::none;
    os_error error{};
  };
  /// Pre: `alignment` is a power of two. `made` is kept for note_of().
  [[nodiscard]] served allocate(std::size_t bytes, std::size_t alignment, std::uint32_t made) noexcept;

  /// Makes ready for so many more blocks of a size: allocating them makes no system call, if nothing else comes between.
  [[nodiscard]] served reserve(std::size_t bytes, std::size_t alignment, std::size_t blocks) noexcept;

  struct taken {
    shadow_answer answer = shadow_answer::freed;
    const void* block = nullptr;  ///< where the block begins that the pointer is about; null: there is none
    shadow_note note;             ///< what is known of it
  };
  /// Pre: owns(p).
  [[nodiscard]] taken deallocate(void* p, std::size_t bytes, std::size_t alignment, std::uint32_t freed) noexcept;

  /// Whether an address is this pool's.
  [[nodiscard]] inline bool owns(const void* p) const noexcept {
    return space_.contains(p) &&
           space_.zone(space_.zone_of(space_.page_of(p))).holder.load(std::memory_order_relaxed) == this;
  }

  [[nodiscard]] inline const shadow_space& space() const noexcept { return space_; }

  /// Sets the guards that wait. Returns how many blocks there were.
  std::size_t flush() noexcept;
  /// Gives back the memory of slabs without blocks, guards first, and zones without mappings. Returns bytes of memory.
  std::size_t trim() noexcept;
  /// Sets guards that wait too long, at `now`, and gives back what was of no use for the decay. Returns bytes of memory.
  std::size_t tick(std::uint64_t now) noexcept;

  [[nodiscard]] shadow_figures figures() const noexcept;
  /// True when guards cost mappings, since the OS knows no others.
  [[nodiscard]] bool protects() const noexcept { return guards_.costs_mappings(); }
  /// True in a child that was given no copy.
  [[nodiscard]] bool is_forked_off() const noexcept { return forked_.load(std::memory_order_relaxed); }
  /// Why the lock or the pool is not known to fork(), if it is not.
  [[nodiscard]] os_error unknown_to_fork() const noexcept;

  /// What contradicts what, or null. O(pages of all zones).
  [[nodiscard]] const char* check() const noexcept;

 private:
  static constexpr std::size_t largest_slot = std::size_t{32} << 10;  ///< bytes; what is larger has pages of its own

  [[nodiscard]] os_error make() noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);

  // Taking.
  [[nodiscard]] bool may_serve(std::size_t bytes, std::size_t alignment, served& refused) const noexcept
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  [[nodiscard]] std::size_t class_for(std::size_t bytes, std::size_t alignment) const noexcept;
  [[nodiscard]] served allocate_slot(std::size_t c, const shadow_note& note) noexcept
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  [[nodiscard]] served allocate_large(const shadow_note& note) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  [[nodiscard]] bool may_take(std::size_t bytes, served& answer) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  void make_room_for_mapping() noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  [[nodiscard]] shadow_mappings::made make_mirror(shadow_slab* slab, std::uint32_t page, std::uint32_t pages) noexcept
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  [[nodiscard]] served make_ready(shadow_slab* slab) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  struct room {
    shadow_slab* slab = nullptr;  ///< null: refused
    served refused;
    bool may_open = false;
  };
  [[nodiscard]] room find_room(std::size_t c) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);

  // Leaving.
  [[nodiscard]] taken look_at(const void* p, std::size_t bytes, std::size_t alignment) const noexcept
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  void leave_large(std::size_t page) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  std::size_t flush_locked() noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);

  // Giving back.
  [[nodiscard]] bool give_back(shadow_slab* slab) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  void let_go(std::uint64_t now) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  void let_go_if_due() noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);

  // Round a fork. The lock is held by the thread that forks.
  void copy_for_child() noexcept ABSL_NO_THREAD_SAFETY_ANALYSIS;
  void drop_copy() noexcept ABSL_NO_THREAD_SAFETY_ANALYSIS;
  void become_child() noexcept ABSL_NO_THREAD_SAFETY_ANALYSIS;
  [[nodiscard]] bool copy_all() noexcept ABSL_NO_THREAD_SAFETY_ANALYSIS;

  const shadow_plan plan_;
  shadow_space& space_;
  page_guards guards_;

  mutable mutex lock_{"of a shadow"};
  platform::fork_hook hook_;
  os_error hook_refused_;
  std::atomic<bool> forked_{false};

  os_error unopened_ ABSL_GUARDED_BY(lock_){};  ///< why there is no object
  shadow_object object_ ABSL_GUARDED_BY(lock_);
  shadow_object copy_ ABSL_GUARDED_BY(lock_);  ///< between the calls round a fork
  shadow_addresses addresses_ ABSL_GUARDED_BY(lock_);
  shadow_mappings mappings_ ABSL_GUARDED_BY(lock_);
  shadow_mirrors mirrors_ ABSL_GUARDED_BY(lock_);
  shadow_slabs slabs_ ABSL_GUARDED_BY(lock_);
  shadow_exits exits_ ABSL_GUARDED_BY(lock_);
  shadow_batch batch_ ABSL_GUARDED_BY(lock_);

  decay_timer<threads::one> timer_ ABSL_GUARDED_BY(lock_);
  bool slow_way_ ABSL_GUARDED_BY(lock_) = false;          ///< of this call: it has mapped something
  std::size_t headroom_seen_ ABSL_GUARDED_BY(lock_) = 0;  ///< bytes that may be taken before the next look
  std::size_t memory_ ABSL_GUARDED_BY(lock_) = 0;         ///< bytes that slabs and large blocks have
  std::size_t large_ ABSL_GUARDED_BY(lock_) = 0;          ///< of these, in large blocks
  std::size_t large_guarded_ ABSL_GUARDED_BY(lock_) = 0;  ///< large blocks that left so far
};

}  // namespace strata::mem
