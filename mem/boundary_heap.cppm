// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/functional/function_ref.h"

export module strata.mem:boundary_heap;

import :address_tree;
import :block;
import :bytes;
import :free_index;
import :kept_blocks;
import :placed_block;

/// A general heap over regions of memory that others provide.
///
///   region   | links, size | block | block | … | block | end |     lowest address first; the end is a word of size 0
///
/// Blocks are as in :block, free ones are found through :free_index. No two free blocks ever touch: a block that becomes
/// free is joined with free neighbours at once. All bookkeeping lies in the regions and in this object.
///
/// A small block that is taken back may be kept for a while (geometry::keep, :kept_blocks): to its neighbours it is
/// still used, and the next request of its size gets it as it is. Kept blocks become free when a request finds no other,
/// when use has fallen by a quarter (then nothing is kept that could hold a region back for long), and by join_kept().
///
/// Regions are kept in a tree by address (:address_tree). Blocks at other places than multiples of a power of two are
/// made by :heap_placer, blocks that may be moved, and moves, by :heap_mover.
///
/// Every operation on blocks is O(1), whatever the sequence of sizes: the kept blocks that one of them may have to join
/// are a thousand at most. add(), remove() and inspect() are O(log regions), check() and walk() O(blocks). Nothing throws,
/// allocates or locks; one thread at a time. Over-aligned blocks are cut out of a free block: what lies in front of them
/// stays free.
export namespace strata::mem {

// A heap's words may lie in hidden memory (:inspector), where none but the heap looks.
#pragma clang attribute push(__attribute__((no_sanitize("address"))), apply_to = function)

enum class heap_fault : std::uint8_t {
  none,
  not_a_block,  ///< the word in front of the address is not one this heap wrote there: foreign, interior or overwritten
  already_free,   ///< the block is free
  bad_end,        ///< the size at a free block's end differs from the one at its start
  bad_neighbour,  ///< flags of a block contradict the block below, or two free blocks touch
  bad_list,       ///< the lists and the blocks contradict each other
  bad_count,      ///< the counters and the blocks contradict each other
};

[[nodiscard]] const char* describe(heap_fault fault) noexcept;

/// What check() found first, and where.
struct heap_report {
  heap_fault fault = heap_fault::none;
  const void* where = nullptr;
};

/// The start of a piece of memory given to add(). Lives in it.
struct region {
  region* next;
  region* prev;
  region* lower;  ///< in the tree of all regions
  region* upper;
  std::size_t bytes;  ///< as given to add(), regions that were joined to it included

  [[nodiscard]] inline block* first_block() noexcept { return at<block>(this, sizeof(region)); }
  [[nodiscard]] inline const block* first_block() const noexcept { return at<block>(this, sizeof(region)); }
};

/// One block as walk() shows it.
struct heap_block {
  const void* payload;  ///< the address handed out, 8 bytes behind the start but for placed blocks
  std::size_t bytes;    ///< size of the block, its word included
  bool used;
  bool kept;          ///< not used, and not joined with its neighbours yet
  std::size_t asked;  ///< bytes as asked for; 0 unless used
  bool movable;       ///< used, and may be moved
  const void* start;  ///< of the block: its word
};

/// All in bytes of blocks and regions. regions = used + kept + free + fences.
struct heap_counters {
  std::size_t regions = 0;      ///< given to add() and not removed
  std::size_t used = 0;         ///< in used blocks, their words included
  std::size_t kept = 0;         ///< in kept blocks
  std::size_t free = 0;         ///< in free blocks
  std::size_t fences = 0;       ///< region headers, ends and unusable edges
  std::size_t empty = 0;        ///< part of `regions`: whole regions without a used block
  std::size_t used_blocks = 0;  ///< count, not bytes
  std::size_t kept_blocks = 0;  ///< count, not bytes
  std::size_t free_blocks = 0;  ///< count, not bytes
};

class boundary_heap {
 public:
  struct geometry {
    std::size_t quantum = block::unit;        ///< block sizes are multiples of this; a power of two, at least 16
    std::size_t min_block = block::smallest;  ///< smallest block in bytes, its word included; at least 32
    std::size_t keep = 0;  ///< blocks of up to so many bytes may be kept when taken back; at most kept_blocks::largest
  };

  struct freed {
    heap_fault fault;  ///< unless none, nothing has changed
    region* emptied;   ///< a region that has become one free block, or null
  };

  /// Largest request in bytes, and largest alignment.
  static constexpr std::size_t max_bytes = std::size_t{1} << 45;

  /// Bytes of a region that are not blocks, at best.
  static constexpr std::size_t region_overhead = sizeof(region) + block::overhead;

  /// Pre: `g` is valid. Values out of range are brought to the nearest valid ones.
  explicit boundary_heap(geometry g) noexcept;
  boundary_heap(const boundary_heap&) = delete;
  boundary_heap& operator=(const boundary_heap&) = delete;

  /// Returns `bytes` bytes at a multiple of `alignment`, distinct for zero bytes too, or null when no free block is
  /// large enough. Pre: `alignment` is a power of two.
  [[nodiscard]] inline void* allocate(std::size_t bytes, std::size_t alignment) noexcept {
    if (alignment <= block::unit && bytes <= kept_blocks::largest - block::overhead) [[likely]] {
      const std::size_t size = block_size(bytes);
      if (block* const b = size <= kept_blocks::largest ? kept_.pop(size) : nullptr; b != nullptr) [[likely]] {
        b->write(size, (b->word & (block::prev_used | block::first)) | block::used | b->note_asked(size, bytes), key_);
        counters_.used += size;
        ++counters_.used_blocks;
        return b->payload();
      }
    }
    return allocate_free(bytes, alignment);
  }

  /// Null is not a block. A fault leaves everything as it was.
  freed deallocate(void* p) noexcept;

  /// The same, faster where the block was asked for with `bytes`. Whether it was is not verified.
  inline freed deallocate(void* p, std::size_t bytes) noexcept {
    // What the word in front of the block says is compared, and not used to find the list: the processor need not wait
    // for it.
    if (is_near(p) && bytes <= kept_blocks::largest - block::overhead) [[likely]] {
      const std::size_t size = block_size(bytes);
      block* const b = block::of(p);
      if (kept_.has_room(size) && b->is_sealed(key_) && b->is_used_of(size)) [[likely]] {
        return {heap_fault::none, keep(b, size)};
      }
    }
    return deallocate(p);
  }

  /// Makes every kept block free. Returns a region that has become one free block by that, or null; there may be more.
  region* join_kept() noexcept;

  /// Makes the block at `p` hold `bytes` without moving it: gives back what is over, or takes from the free block
  /// above. Returns false, with nothing changed, when that cannot be done. Pre: `p` is a used block.
  [[nodiscard]] bool resize(void* p, std::size_t bytes) noexcept;

  /// Bytes that may be used at `p`, at least what was asked for. Pre: `p` is a used block.
  [[nodiscard]] static std::size_t usable_size(const void* p) noexcept;

  /// The most that resize() could make of it. Pre: `p` is a used block.
  [[nodiscard]] static std::size_t room_at(const void* p) noexcept;

  /// Makes all of usable_size() count as asked for, and returns it. Pre: `p` is a used block.
  std::size_t take_slack(void* p) noexcept;

  /// Whether `p`, which may be anything, is a used block of this heap. Reads no memory but the regions'. O(log regions).
  [[nodiscard]] heap_fault inspect(const void* p) const noexcept;

  /// inspect() without a look at where `p` points to, for the hot path. Pre: what is in front of `p` may be read, unless
  /// it lies below all regions or above. Blocks that were placed inside a payload are not recognised.
  [[nodiscard]] inline heap_fault recognise(const void* p) const noexcept {
    if (!is_near(p)) return heap_fault::not_a_block;
    const block* const b = block::of(p);
    if (!b->is_sealed(key_) || b->is_sentinel() || b->is_placed()) return heap_fault::not_a_block;
    return b->is_used() ? heap_fault::none : heap_fault::already_free;
  }

  /// The region that `p`, which may be anything, points into, or null. O(log regions).
  [[nodiscard]] const region* find_region(const void* p) const noexcept;

  /// Smallest region that is sure to serve the request, in bytes; 0 when no region can.
  [[nodiscard]] std::size_t region_bytes_for(std::size_t bytes, std::size_t alignment) const noexcept;

  /// Takes `bytes` bytes at `base` into use. Pre: aligned to block::unit, bytes at least region_bytes_for(0, 1), below
  /// free_index::max_size.
  region* add(void* base, std::size_t bytes) noexcept;

  /// The same, and joins it to the region that begins where it ends, then to the one that ends where it begins, if
  /// `may_join` says so for the two: then they are one region, which starts where the lower did, and is given back in one
  /// piece. Returns the region that `base` lies in.
  region* add(void* base, std::size_t bytes,
              absl::FunctionRef<bool(const region& lower, const region& upper)> may_join) noexcept;

  /// Forgets a region; its memory is the caller's again. Pre: it has no used block.
  void remove(region* r) noexcept;

  /// Forgets everything: used blocks, free blocks, regions. Returns all regions, linked by region::next; their memory
  /// is the caller's.
  region* clear() noexcept;

  /// Hands the memory behind free blocks back to the OS; they stay the heap's. O(blocks).
  void discard_free() noexcept;

  /// A region without used blocks, the one emptied last, or null. The others follow by region::next.
  [[nodiscard]] inline region* empty_region() const noexcept { return empty_; }

  /// The least heap_counters::empty since the last call.
  [[nodiscard]] inline std::size_t take_low_empty() noexcept { return std::exchange(low_empty_, counters_.empty); }

  [[nodiscard]] inline heap_counters counters() const noexcept {
    heap_counters all = counters_;
    all.kept = all.regions - all.used - all.free - all.fences;
    all.kept_blocks = kept_.count();
    return all;
  }

  [[nodiscard]] inline std::size_t movable_blocks() const noexcept { return movable_blocks_; }

  /// Verifies every block, every list, the tree and every counter. O(blocks × log regions). Reads only.
  [[nodiscard]] heap_report check() const noexcept;

  /// Verifies the used block at `p`, which may be anything, and what its neighbours say of it. O(log regions). Reads only.
  [[nodiscard]] heap_report check(const void* p) const noexcept;

  /// Shows every block in address order. The visitor must not change the heap.
  void walk(absl::FunctionRef<void(const heap_block&)> visitor) const;
  /// The same, and each region before its blocks.
  void walk(absl::FunctionRef<void(const region&)> region_visitor,
            absl::FunctionRef<void(const heap_block&)> visitor) const;

 private:
  friend class heap_mover;
  friend class heap_placer;

  [[nodiscard]] heap_fault recognise_placed(const void* p) const noexcept;
  freed deallocate_placed(void* p) noexcept;

  /// Whether `p` may be a payload, as far as can be told without reading memory and at once.
  [[nodiscard]] inline bool is_near(const void* p) const noexcept {
    return address(p) - lowest_ < extent_ && is_aligned(p, block::unit);
  }
  freed take_back(block* b) noexcept;
  [[nodiscard]] inline std::size_t block_size(std::size_t bytes) const noexcept {
    const std::size_t size = round_up(bytes + block::overhead, geometry_.quantum);
    return size < geometry_.min_block ? geometry_.min_block : size;
  }
  [[nodiscard]] void* allocate_free(std::size_t bytes, std::size_t alignment) noexcept;
  [[nodiscard]] block* find(std::size_t size) noexcept;
  [[nodiscard]] void* take(block* b, std::size_t size, std::size_t bytes) noexcept;
  region* join(block* b) noexcept;
  inline region* keep(block* b, std::size_t size) noexcept {
    counters_.used -= size;
    --counters_.used_blocks;
    b->write(size, (b->word & (block::prev_used | block::first)) | block::kept, key_);
    kept_.push(b, size);
    return counters_.used < join_below_ ? join_kept() : nullptr;
  }
  [[nodiscard]] block* cut_front(block* b, std::size_t alignment) noexcept;
  [[nodiscard]] block* split(block* b, std::size_t front) noexcept;
  void cut_tail(block* b, std::size_t size) noexcept;
  void make_free(block* b, std::size_t size, std::uint64_t flags) noexcept;
  void drop_free(block* b) noexcept;
  void leave_empty(block* first) noexcept;
  void note(block* b, std::size_t bytes) noexcept;
  region* join_regions(region* lower, region* upper) noexcept;
  void measure_bounds() noexcept;
  [[nodiscard]] const region* lowest_region() const noexcept;
  /// `gone` has become part of `into`.
  inline void absorbed(const block* gone, block* into) noexcept {
    if (cursor_ == gone) [[unlikely]] {
      cursor_ = into;
    }
  }
  [[nodiscard]] heap_report check_region(const region* r, heap_counters& seen) const noexcept;
  [[nodiscard]] heap_fault check_used(const block* b) const noexcept;
  [[nodiscard]] heap_report check_lists(std::size_t free_blocks) const noexcept;
  [[nodiscard]] heap_report check_kept(std::size_t count) const noexcept;
  [[nodiscard]] bool owns(const block* b) const noexcept;

  kept_blocks kept_;
  std::uint64_t key_;  ///< seals the words of this heap's blocks
  geometry geometry_;
  std::size_t join_below_ = 0;  ///< bytes; when less is used, what is kept becomes free
  region* empty_ = nullptr;     ///< regions without a used block
  region* in_use_ = nullptr;    ///< regions with one
  region* regions_ = nullptr;   ///< all, a tree by address
  std::uintptr_t lowest_ = 0;   ///< start of the lowest region
  std::size_t extent_ = 0;      ///< bytes from there to the end of the highest; 0 without regions
  block* cursor_ = nullptr;     ///< where a compaction that is under way goes on, or an end; null when there is none
  std::size_t movable_blocks_ = 0;  ///< used ones that may be moved
  std::size_t low_empty_ = 0;       ///< least of counters_.empty since somebody asked
  bool loosened_ = false;           ///< a block became free since the last compaction began
  heap_counters counters_;          ///< kept and kept_blocks are not counted here: they follow
  free_index index_;
};

#pragma clang attribute pop

}  // namespace strata::mem
