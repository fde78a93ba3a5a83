// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "absl/base/thread_annotations.h"

export module strata.mem:shadow_pool;

import :bytes;
import :mutex;
import :page_run;
import :shadow_slab;
import :shadow_space;
import :size_class;

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
/// Threads    any; one lock, not held while a single guard is set
/// Fork       the child has a copy of everything at the same addresses, made before the fork by the thread that forks; or,
///            as the plan says or where there is no memory for it, nothing: its blocks fault, and it serves none
/// Errors     values; deallocating cannot fail: what cannot be guarded is counted
export namespace strata::mem {

struct shadow_plan {
  const char* name = "shadow";                     ///< outlives the pool
  std::size_t max_mappings = 0;                    ///< 0: a quarter of what the OS allows a process
  std::size_t max_address_bytes = 0;               ///< 0: 64 GiB
  std::size_t max_memory_bytes = 0;                ///< 0: as much as there is
  std::size_t batch_blocks = 1;                    ///< deallocations of which guards are set together; 1: at once
  std::size_t batch_bytes = std::size_t{1} << 20;  ///< most that waits for its guards
  std::uint64_t batch_nanoseconds = 100'000'000;   ///< oldest that waits, looked at with each call
  shadow_hold hold{};
  bool copy_at_fork = true;
};

enum class shadow_refusal : std::uint8_t {
  none,
  too_large,  ///< or aligned to more than a zone
  mappings,
  addresses,
  memory,
  machine,  ///< there is not so much memory for this process
  os,
  forked,  ///< this is a child that has no copy
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
  std::size_t calls = 0;    ///< system calls that set guards
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
  /// Gives back the memory of slabs without blocks, guards first. Returns bytes.
  std::size_t trim() noexcept;

  [[nodiscard]] shadow_figures figures() const noexcept;
  /// True when guards cost mappings, since the OS knows no others.
  [[nodiscard]] bool protects() const noexcept { return support_ != platform::guard_support::objects_as_well; }
  /// True in a child that was given no copy.
  [[nodiscard]] bool is_forked_off() const noexcept { return forked_.load(std::memory_order_relaxed); }
  /// Why the lock or the pool is not known to fork(), if it is not.
  [[nodiscard]] os_error unknown_to_fork() const noexcept;

  /// What contradicts what, or null. O(pages of all zones).
  [[nodiscard]] const char* check() const noexcept;

 private:
  static constexpr std::size_t largest_slot = std::size_t{32} << 10;  ///< bytes; what is larger has pages of its own
  static constexpr std::uint32_t nothing = UINT32_MAX;

  /// What makes the pages of a block fault.
  enum class barrier : std::uint8_t { none, guard, protection, mapping };

  struct class_state {
    shadow_slab* with_room = nullptr;  ///< list
    std::uint32_t pages = 0;           ///< of all slabs
  };

  struct room {
    shadow_slab* slab = nullptr;  ///< null: refused
    served refused;
    bool may_open = false;
  };

  [[nodiscard]] served allocate_slot(std::size_t c, std::size_t bytes, std::size_t alignment,
                                     std::uint32_t made) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  [[nodiscard]] served allocate_large(std::size_t bytes, std::size_t alignment, std::uint32_t made) noexcept
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  [[nodiscard]] std::size_t class_for(std::size_t bytes, std::size_t alignment) const noexcept;

  [[nodiscard]] served make_slab(std::size_t c) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  [[nodiscard]] served make_mirror(shadow_slab* slab, std::uint32_t page, std::uint32_t pages) noexcept
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  [[nodiscard]] served make_ready(shadow_slab* slab) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  [[nodiscard]] room find_room(std::size_t c) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  [[nodiscard]] bool list_any(std::size_t c) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  void note_block(std::size_t page, const shadow_note& note) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  [[nodiscard]] served map_strips(std::size_t pages, std::size_t aligned_strips, std::uint64_t offset) noexcept
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  [[nodiscard]] served take_strips(std::uint32_t count, std::size_t aligned) noexcept
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  [[nodiscard]] bool find_in_zone(std::uint32_t zone, std::uint32_t from, std::uint32_t count, std::size_t aligned,
                                  std::uint32_t& first) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  [[nodiscard]] bool find_strips(std::uint32_t count, std::size_t aligned, std::uint32_t& first) noexcept
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  void free_strips(std::uint32_t first, std::uint32_t count) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  [[nodiscard]] served claim_zones(std::uint32_t count) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  [[nodiscard]] bool may_take(std::size_t bytes, served& answer) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  [[nodiscard]] std::size_t mappings() const noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  [[nodiscard]] bool may_map() noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);

  [[nodiscard]] taken look_at(const void* p, std::size_t bytes, std::size_t alignment) const noexcept
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  [[nodiscard]] std::size_t last_page_of(std::size_t page, const shadow_note& note) const noexcept;
  [[nodiscard]] std::uint32_t mapping_of(std::size_t page) const noexcept;
  [[nodiscard]] barrier guard_pages(std::size_t first, std::size_t last) noexcept;
  void leave(std::size_t page, barrier how) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  void leave_large(std::size_t page) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  void flush_if_old() noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  std::size_t flush_locked() noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  void close(std::uint32_t strip) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  [[nodiscard]] static bool may_go(const shadow_strip& mirror) noexcept;
  void retire_if_spent(std::uint32_t strip) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  void retire_if_idle(std::uint32_t strip) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  void retire(std::uint32_t strip) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  void put_to_rest(std::uint32_t strip) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  std::size_t flush_whole(std::size_t first, std::size_t count) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  void end_quarantine() noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  [[nodiscard]] static bool goes_whole(const shadow_strip& mirror) noexcept;
  void close_mirrors(shadow_slab* slab, bool idle) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  void list(shadow_slab* slab) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  void unlist(shadow_slab* slab) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);

  template <class Visitor>
  void visit_mappings(Visitor&& visitor) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);

  [[nodiscard]] os_error make() noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  [[nodiscard]] platform::shared_object make_object() noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);

  // Round a fork. The lock is held by the thread that forks.
  void copy_for_child() noexcept ABSL_NO_THREAD_SAFETY_ANALYSIS;
  void drop_copy() noexcept ABSL_NO_THREAD_SAFETY_ANALYSIS;
  void become_child() noexcept ABSL_NO_THREAD_SAFETY_ANALYSIS;
  [[nodiscard]] bool copy_object(int to) noexcept ABSL_NO_THREAD_SAFETY_ANALYSIS;
  [[nodiscard]] bool map_copy() noexcept ABSL_NO_THREAD_SAFETY_ANALYSIS;
  void guard_again(std::uint32_t strip) noexcept ABSL_NO_THREAD_SAFETY_ANALYSIS;
  void seal_off_all() noexcept ABSL_NO_THREAD_SAFETY_ANALYSIS;

  const shadow_plan plan_;
  shadow_space& space_;
  const platform::guard_support support_;
  std::size_t max_mappings_ = 0;
  std::size_t max_addresses_ = 0;

  mutable mutex lock_{"of a shadow"};
  platform::fork_hook hook_;
  os_error hook_refused_;
  std::atomic<bool> forked_{false};

  os_error unopened_ ABSL_GUARDED_BY(lock_){};  ///< why there is no object
  int object_ ABSL_GUARDED_BY(lock_) = -1;
  int copy_ ABSL_GUARDED_BY(lock_) = -1;                  ///< between the calls round a fork
  std::uint64_t object_end_ ABSL_GUARDED_BY(lock_) = 0;   ///< bytes of the object given away so far
  std::uint64_t object_size_ ABSL_GUARDED_BY(lock_) = 0;  ///< bytes
  std::array<class_state, size_class::count> classes_ ABSL_GUARDED_BY(lock_){};
  shadow_slab* all_ ABSL_GUARDED_BY(lock_) = nullptr;  ///< every slab, by its `elder`

  std::uint32_t zones_ ABSL_GUARDED_BY(lock_) = no_zone;  ///< list, the latest first
  std::uint32_t zone_count_ ABSL_GUARDED_BY(lock_) = 0;
  std::uint32_t cursor_zone_ ABSL_GUARDED_BY(lock_) = no_zone;
  std::uint32_t cursor_strip_ ABSL_GUARDED_BY(lock_) = 0;

  std::uint32_t oldest_ ABSL_GUARDED_BY(lock_) = nothing;  ///< quarantine of mappings, oldest first
  std::uint32_t newest_ ABSL_GUARDED_BY(lock_) = nothing;

  page_run batch_memory_ ABSL_GUARDED_BY(lock_);
  std::uint32_t* batch_ ABSL_GUARDED_BY(lock_) = nullptr;  ///< pages where blocks begin
  std::uint64_t batch_since_ ABSL_GUARDED_BY(lock_) = 0;
  std::uint32_t calls_since_look_ ABSL_GUARDED_BY(lock_) = 0;

  std::size_t headroom_seen_ ABSL_GUARDED_BY(lock_) = 0;  ///< bytes that may be taken before the next look
  shadow_figures figures_ ABSL_GUARDED_BY(lock_);
  std::atomic<std::size_t> guard_calls_{0};
  std::atomic<std::size_t> split_{0};  ///< pages protected instead of guarded, in mappings that are left
};

}  // namespace strata::mem
