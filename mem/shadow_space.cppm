// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "absl/base/thread_annotations.h"

export module strata.mem:shadow_space;

import :bytes;
import :decay;
import :lock_watch;
import :mutex;
import :page_run;
import :shadow_slab;

import strata.platform;

/// Addresses that are handed out once: a stretch of address space for all shadow pools of the process, and what is known
/// of each page of it.
///
///   area     | zone | zone | …             16,384 pages each; a zone is one pool's, and comes back when that ends
///   zone     | strip | strip | … 256       64 pages each; a mapping takes whole strips
///   records  | page | page | … | strip | …   a zone's: 16 bytes for each page, the block that is there, or was, and 64
///                                          for each strip
///
/// Nothing here is accessible until a pool maps something over it, and again when that ended. Records are apart from the
/// pages, and outlive the pool until its zones are taken by another: a fault can be explained long after.
///
/// The area is reserved when the first pool comes, as large as the OS lets it be, and stays for good. Any thread; nothing
/// throws. Records and names may be read in a signal handler. The area is the same in a child of fork().
export namespace strata::mem {

/// What is, or was, on a page.
enum class shadow_state : std::uint8_t {
  unused,
  live,     ///< a block begins here
  leaving,  ///< it was deallocated; the guard is still to come
  dead,     ///< it was deallocated, and faults
  exposed,  ///< it was deallocated, and no guard could be had
  inside,   ///< a block goes on here; said of its second page and those after it, or where it is on many strips, of
            ///< the first page of each
};

/// One page as it was at one moment.
struct shadow_note {
  shadow_state state = shadow_state::unused;
  unsigned alignment_log2 = 0;  ///< as asked for
  std::size_t offset = 0;       ///< of the block in the page where it begins
  std::size_t bytes = 0;        ///< as asked for; of `inside`: pages since the block began
  std::uint32_t made = 0;       ///< who allocated it, a number of the pool's user
  std::uint32_t freed = 0;      ///< who deallocated it

  static constexpr std::size_t max_bytes = (std::size_t{1} << 39) - 1;
};

/// The record of a page. Written by the pool under its lock, read by anyone.
class shadow_page {
 public:
  [[nodiscard]] inline shadow_note read() const noexcept {
    const std::uint64_t what = what_.load(std::memory_order_relaxed);
    return {.state = static_cast<shadow_state>(what & 7),
            .alignment_log2 = static_cast<unsigned>(what >> 3 & 63),
            .offset = static_cast<std::size_t>(what >> 9 & 0xFFFF),
            .bytes = static_cast<std::size_t>(what >> 25),
            .made = made_.load(std::memory_order_relaxed),
            .freed = freed_.load(std::memory_order_relaxed)};
  }
  inline void write(const shadow_note& note) noexcept {
    made_.store(note.made, std::memory_order_relaxed);
    freed_.store(note.freed, std::memory_order_relaxed);
    what_.store(std::uint64_t{note.bytes} << 25 | std::uint64_t{note.offset} << 9 |
                    std::uint64_t{note.alignment_log2} << 3 | static_cast<std::uint64_t>(note.state),
                std::memory_order_relaxed);
  }
  [[nodiscard]] inline shadow_state state() const noexcept {
    return static_cast<shadow_state>(what_.load(std::memory_order_relaxed) & 7);
  }
  inline void set_state(shadow_state state) noexcept {
    what_.store((what_.load(std::memory_order_relaxed) & ~std::uint64_t{7}) | static_cast<std::uint64_t>(state),
                std::memory_order_relaxed);
  }

 private:
  std::atomic<std::uint64_t> what_;
  std::atomic<std::uint32_t> made_;
  std::atomic<std::uint32_t> freed_;
};
static_assert(sizeof(shadow_page) == 16);

/// One strip: of the first one of a mapping what that is, of the others where it begins. All of it the pool's.
struct shadow_strip {
  shadow_slab* slab;      ///< whose mirror it is; null: one large block
  std::uint64_t offset;   ///< of what is mapped, in the object
  std::uint64_t died;     ///< when the mapping went, nanoseconds
  std::uint32_t first;    ///< strip where the mapping begins
  std::uint32_t count;    ///< strips
  std::uint32_t pages;    ///< that are mapped
  std::uint32_t number;   ///< of the mirror
  std::uint32_t spent;    ///< pages of it that are used or left out
  std::uint32_t live;     ///< blocks, those leaving included
  std::uint32_t leaving;  ///< of these
  std::uint32_t split;    ///< ranges of it that had to be protected instead of marked
  std::uint32_t next;     ///< in the quarantine of the pool
  bool mapped;
  bool closed;  ///< nothing more is handed out through it
};
static_assert(sizeof(shadow_strip) <= 64);

/// When the addresses of a pool that ended serve another.
enum class shadow_reuse : std::uint8_t {
  at_end,      ///< at once
  quarantine,  ///< after a while: see shadow_hold
  never,
};

/// How long dead addresses stay dead. They are used again when either bound is passed.
struct shadow_hold {
  shadow_reuse reuse = shadow_reuse::quarantine;
  std::size_t bytes = 0;          ///< of dead addresses, beyond which the oldest go; 0: no bound
  std::uint64_t nanoseconds = 0;  ///< since they died; 0: no bound
};

/// A zone. All of it belongs to the pool that has it, but what says otherwise.
struct shadow_zone {
  static constexpr std::size_t strips = 256;

  std::atomic<const void*> holder;              ///< the pool; the space after that ended; null: never had one
  std::array<char, 40> name;                    ///< of that pool, ended by a zero
  std::array<std::uint64_t, strips / 64> free;  ///< bits of strips that hold no mapping and may be used
  std::uint32_t free_strips;
  std::uint32_t next;  ///< zone of the same pool, or of the quarantine; no_zone ends
  idleness idle;       ///< while all strips are free
  bool used;           ///< a strip was taken, since the last look

  std::uint8_t held;       ///< 0: free, 1: a pool's, 2: in quarantine, 3: dead for ever; the space's, as is all below
  std::uint64_t released;  ///< when the pool ended, nanoseconds
  shadow_hold hold;
};
inline constexpr std::uint32_t no_zone = UINT32_MAX;

class shadow_space {
 public:
  static constexpr std::size_t strip_pages = 64;
  static constexpr std::size_t zone_pages = strip_pages * shadow_zone::strips;

  /// The one of this process.
  [[nodiscard]] static shadow_space& of_process() noexcept;

  /// Makes sure that there is an area, or says why there is none.
  [[nodiscard]] os_error open() noexcept;

  /// Whether an address lies in the area: two loads and a comparison, false before open().
  [[nodiscard]] inline bool contains(const void* p) const noexcept {
    return address(p) - base_.load(std::memory_order_relaxed) < extent_.load(std::memory_order_relaxed);
  }

  // What follows: pre: the area is there, and the address in it.

  [[nodiscard]] inline std::size_t page_size() const noexcept { return page_bytes_; }
  [[nodiscard]] inline std::size_t zone_bytes() const noexcept { return zone_pages * page_bytes_; }
  [[nodiscard]] inline std::size_t strip_bytes() const noexcept { return strip_pages * page_bytes_; }
  /// Bytes of the whole area.
  [[nodiscard]] inline std::size_t extent() const noexcept { return extent_.load(std::memory_order_relaxed); }

  /// Pages are numbered from 0.
  [[nodiscard]] inline std::size_t page_of(const void* p) const noexcept {
    return (address(p) - base_.load(std::memory_order_relaxed)) >> page_log2_;
  }
  [[nodiscard]] inline std::byte* base_of_page(std::size_t page) const noexcept { return area_ + (page << page_log2_); }
  [[nodiscard]] inline std::byte* base_of_zone(std::uint32_t zone) const noexcept {
    return base_of_page(zone * zone_pages);
  }
  [[nodiscard]] inline std::uint32_t zone_of(std::size_t page) const noexcept {
    return static_cast<std::uint32_t>(page / zone_pages);
  }

  [[nodiscard]] inline shadow_page& record(std::size_t page) const noexcept {
    return *at<shadow_page>(records_of(page / zone_pages), offset_of<shadow_page>(page % zone_pages));
  }
  [[nodiscard]] inline shadow_strip& strip(std::uint32_t number) const noexcept {
    return *at<shadow_strip>(
        records_of(number / shadow_zone::strips),
        offset_of<shadow_page>(zone_pages) + offset_of<shadow_strip>(number % shadow_zone::strips));
  }
  [[nodiscard]] inline shadow_zone& zone(std::uint32_t number) const noexcept { return zones_[number]; }

  /// The strip of a page, the strip where the mapping begins that the page is of, and the first page of a strip.
  [[nodiscard]] static inline constexpr std::uint32_t strip_of(std::size_t page) noexcept {
    return static_cast<std::uint32_t>(page / strip_pages);
  }
  [[nodiscard]] inline std::uint32_t mapping_of(std::size_t page) const noexcept { return strip(strip_of(page)).first; }
  [[nodiscard]] static inline constexpr std::size_t first_page_of(std::uint32_t strip) noexcept {
    return std::size_t{strip} * strip_pages;
  }

  /// The last page of a block that begins on a page.
  [[nodiscard]] inline std::size_t last_page_of(std::size_t page, const shadow_note& note) const noexcept {
    return page + ((note.offset + (note.bytes == 0 ? 1 : note.bytes) - 1) >> page_log2_);
  }
  /// Writes the records of a new block: of its first page all there is to know, of the others how far that is.
  void write_block(std::size_t page, const shadow_note& note) noexcept;

  /// The zone of a page if a pool has or had it; null also for addresses outside. May be called in a signal handler.
  [[nodiscard]] const shadow_zone* known_zone(const void* p) const noexcept;

  /// The block that is, or was, on the page of an address.
  struct found {
    bool is_there = false;
    std::size_t page = 0;  ///< where it begins
    const std::byte* block = nullptr;
    shadow_note note{};
  };
  /// Pre: known_zone(p). May be called in a signal handler.
  [[nodiscard]] found block_at(const void* p) const noexcept;

  /// Takes `count` zones in a row for a pool: inaccessible, with no strip free and all records blank. The lowest there
  /// are. The number of the first; no_zone when there are none, or there is no memory for their records.
  [[nodiscard]] std::uint32_t claim(std::uint32_t count, const void* holder, const char* name) noexcept;

  /// Gives zones back. Pre: claimed; inaccessible again.
  void release(std::uint32_t first, std::uint32_t count, const shadow_hold& hold) noexcept;

  /// Gives one zone back of which nothing is known: it is as if no pool ever had it, and its records cost nothing. Pre:
  /// claimed; inaccessible again, its records blank.
  void release_blank(std::uint32_t zone) noexcept;

  /// Bytes of address space that are some pool's, and that are dead but not free yet.
  [[nodiscard]] std::size_t claimed_bytes() const noexcept;
  [[nodiscard]] std::size_t quarantined_bytes() const noexcept;

 private:
  [[nodiscard]] inline std::byte* records_of(std::size_t zone) const noexcept { return records_ + zone * stride_; }
  template <class T>
  [[nodiscard]] static inline constexpr std::ptrdiff_t offset_of(std::size_t index) noexcept {
    return static_cast<std::ptrdiff_t>(index * sizeof(T));
  }
  void end_quarantine() noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  [[nodiscard]] os_error reserve_all(std::size_t zones) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  [[nodiscard]] bool make_records(std::uint32_t zone) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);

  std::atomic<std::uintptr_t> base_{UINTPTR_MAX};
  std::atomic<std::size_t> extent_{0};  ///< bytes; written last
  std::byte* area_ = nullptr;
  std::byte* records_ = nullptr;
  std::size_t stride_ = 0;  ///< bytes of a zone's records
  shadow_zone* zones_ = nullptr;
  std::size_t page_bytes_ = 0;
  unsigned page_log2_ = 0;

  mutable mutex lock_{lock_rank::shadow_space, "of the shadows' addresses"};  ///< below the pools'
  std::uint32_t zone_count_ ABSL_GUARDED_BY(lock_) = 0;
  std::uint32_t seen_ ABSL_GUARDED_BY(lock_) = 0;  ///< zones that ever were a pool's, from the first
  std::uint32_t claimed_ ABSL_GUARDED_BY(lock_) = 0;
  std::uint32_t quarantined_ ABSL_GUARDED_BY(lock_) = 0;
  std::uint32_t oldest_ ABSL_GUARDED_BY(lock_) = no_zone;  ///< the quarantine, oldest first
  std::uint32_t newest_ ABSL_GUARDED_BY(lock_) = no_zone;
};

}  // namespace strata::mem
