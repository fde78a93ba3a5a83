// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

export module strata.mem:shadow_slab;

import :bytes;
import :decay;
import :page_run;

/// Slots of one size on pages that are mapped many times, and through which mapping each is handed out.
///
///   object   | page 0 | page 1 | page 2 | …       one piece of memory, cut into units of a few pages and those into slots
///   mirror 0 |   a    |   b    |        |         a page of a mirror is handed out once:
///   mirror 1 |   c    |        |        |         a and c lie side by side in page 0
///
/// Pages take mirrors in order, each its own: given(p) is the first that page p has not used. A slot on pages a … b goes
/// through the largest given() of them; what that leaves out stays unused. Slots are taken from page after page in turn,
/// so that the pages use up their mirrors alike, and never twice in a row from the same place in a page, since blocks
/// that lie alike would meet in the same sets of a cache.
///
/// Mirrors that can still be used are in a ring, the oldest of which is closed when it is full. One thread at a time;
/// nothing throws; O(units) when few slots are free, else O(1).
export namespace strata::mem {

/// How slots of one size lie in pages.
struct shadow_shape {
  std::uint32_t slot_bytes = 0;
  std::uint32_t unit_pages = 0;  ///< pages after which the pattern begins anew
  std::uint32_t unit_slots = 0;

  /// At most a 25th of a unit is lost, where 16 pages allow that.
  [[nodiscard]] static inline constexpr shadow_shape of(std::size_t slot_bytes, std::size_t page_bytes) noexcept {
    shadow_shape best;
    std::size_t least = SIZE_MAX;
    for (std::uint32_t pages = 1; pages <= 16; ++pages) {
      const std::size_t unit = pages * page_bytes;
      const std::size_t lost_of_all = unit % slot_bytes * (16 / pages + 1);
      if (unit < slot_bytes) continue;
      if (best.unit_pages == 0 || lost_of_all < least) {
        best = {static_cast<std::uint32_t>(slot_bytes), pages, static_cast<std::uint32_t>(unit / slot_bytes)};
        least = lost_of_all;
      }
      if (unit % slot_bytes * 25 <= unit) {
        return {static_cast<std::uint32_t>(slot_bytes), pages, static_cast<std::uint32_t>(unit / slot_bytes)};
      }
    }
    return best;
  }
};

class shadow_slab {
 public:
  static constexpr std::uint32_t no_mirror = UINT32_MAX;

  /// A slot, and the pages of the slab on which it lies.
  struct place {
    std::uint32_t unit;
    std::uint32_t slot;
    std::uint32_t first;
    std::uint32_t last;
  };

  struct made {
    shadow_slab* slab = nullptr;  ///< null: refused
    os_error error{};
  };
  /// Over `units` units of an object, beginning at `offset`. Lies in pages of its own.
  [[nodiscard]] static made make(const shadow_shape& shape, std::uint32_t units, std::uint64_t offset) noexcept;
  static void unmake(shadow_slab* slab) noexcept;

  [[nodiscard]] inline const shadow_shape& shape() const noexcept { return shape_; }
  [[nodiscard]] inline std::uint64_t offset() const noexcept { return offset_; }
  [[nodiscard]] inline std::uint32_t pages() const noexcept { return units_ * shape_.unit_pages; }
  /// Pages that have been used so far, from the first: those that hold memory.
  [[nodiscard]] inline std::uint32_t opened_pages() const noexcept { return opened_ * shape_.unit_pages; }
  [[nodiscard]] inline std::uint32_t live() const noexcept { return live_; }
  [[nodiscard]] inline std::uint32_t free_slots() const noexcept { return units_ * shape_.unit_slots - live_; }
  /// Whether many slots are free, so that blocks can be spread over pages.
  [[nodiscard]] inline bool is_roomy() const noexcept { return free_slots() * 16 >= units_ * shape_.unit_slots; }
  [[nodiscard]] inline bool is_full() const noexcept { return live_ == units_ * shape_.unit_slots; }

  /// Pages that the next choose() opens: some when less than a 16th of the slots in open ones is free, since few pages
  /// that serve all requests would need a mirror each time.
  [[nodiscard]] std::uint32_t pages_to_open() const noexcept;
  /// Opens all pages. Returns how many that were.
  std::uint32_t open_all() noexcept;
  /// Whether a slot in open pages is free.
  [[nodiscard]] inline bool has_open_slot() const noexcept { return live_ != opened_ * shape_.unit_slots; }
  /// Where the next block goes, after opening as many pages as pages_to_open() says if `may_open`. Pre: a slot in open
  /// pages is free then.
  [[nodiscard]] place choose(bool may_open) noexcept;

  /// Pages from that of a place on that may serve next: those of units in a row that have a free slot, 64 at most.
  [[nodiscard]] std::uint32_t pages_in_a_row(const place& where) const noexcept;

  /// The mirror through which a place goes, by number.
  [[nodiscard]] std::uint32_t mirror_for(const place& where) const noexcept;
  /// Numbers of mirrors in the ring are below this, and next_mirror() is that of one to come.
  [[nodiscard]] inline std::uint32_t next_mirror() const noexcept { return end_; }
  /// What push_mirror() said of a mirror in the ring; no_mirror for one that was dropped.
  [[nodiscard]] inline std::uint32_t mirror(std::uint32_t number) const noexcept { return ring_[number & mask_]; }

  /// Mirrors of which no page was used yet.
  [[nodiscard]] std::uint32_t fresh_mirrors() const noexcept;

  /// A new mirror, known to the caller as `id`. Returns the id of the oldest, which is closed, when the ring was full;
  /// else no_mirror.
  std::uint32_t push_mirror(std::uint32_t id) noexcept;
  /// A mirror that nothing more is to go through is in the ring no more.
  void drop_mirror(std::uint32_t number) noexcept;
  /// The oldest mirror in the ring; no_mirror when there is none.
  [[nodiscard]] std::uint32_t oldest_mirror() noexcept;
  /// Takes it out. Pre: there is one.
  void close_oldest() noexcept { ++begin_; }
  /// The one that was pushed last; no_mirror when there is none, or it was dropped.
  [[nodiscard]] inline std::uint32_t newest_mirror() const noexcept {
    return begin_ == end_ ? no_mirror : mirror(end_ - 1);
  }

  /// The first mirror that a page has neither used nor left out.
  [[nodiscard]] inline std::uint32_t unspent_from(std::uint32_t page) const noexcept {
    return std::max(given_[page], begin_);
  }

  /// Takes the slot, through the mirror that mirror_for() said: its pages use that, and leave out those before.
  void take(const place& where, std::uint32_t number) noexcept;

  /// Distance of a slot from the slab's first byte.
  [[nodiscard]] inline std::size_t start_of(const place& where) const noexcept {
    return (std::size_t{where.unit} * shape_.unit_pages << page_log2_) + std::size_t{where.slot} * shape_.slot_bytes;
  }
  /// The slot at this distance from the slab's first byte. Pre: inside.
  [[nodiscard]] place place_at(std::size_t bytes) const noexcept;

  /// Takes a slot back. Pre: taken.
  void give(const place& where) noexcept;

  [[nodiscard]] bool is_free(const place& where) const noexcept {
    return (slots_of(where.unit)[where.slot / 64] >> where.slot % 64 & 1) != 0;
  }

  /// What contradicts what, or null. O(slots).
  [[nodiscard]] const char* check() const noexcept;

  // The owner's.
  shadow_slab* next = nullptr;  ///< in the list of those of its class that have room
  shadow_slab* prev = nullptr;
  shadow_slab* elder = nullptr;  ///< in the list of all
  std::uint32_t size_class = 0;
  bool listed = false;
  bool reserved = false;  ///< made ready for blocks of which none came yet
  bool used = true;       ///< a slot was taken, since the last look
  idleness idle;          ///< while no slot is taken

 private:
  shadow_slab() = default;

  [[nodiscard]] inline std::uint64_t* slots_of(std::uint32_t unit) const noexcept {
    return slots_free_ + unit * words_;
  }
  [[nodiscard]] std::uint32_t units_to_open() const noexcept;
  void open(std::uint32_t units) noexcept;
  [[nodiscard]] std::uint32_t next_unit(std::uint32_t from) const noexcept;
  [[nodiscard]] std::uint32_t next_slot(std::uint32_t unit, std::uint32_t from) const noexcept;
  [[nodiscard]] place place_of(std::uint32_t unit, std::uint32_t slot) const noexcept;

  shadow_shape shape_;
  std::uint64_t offset_ = 0;
  page_run memory_;  ///< this, then the arrays
  std::uint32_t page_log2_ = 0;
  std::uint32_t units_ = 0;
  std::uint32_t opened_ = 0;  ///< units
  std::uint32_t words_ = 0;   ///< of bits, a unit
  std::uint32_t live_ = 0;    ///< slots taken
  std::uint32_t cursor_ = 0;  ///< unit that served last
  std::uint32_t stagger_ = 0;
  std::uint32_t begin_ = 0;  ///< mirrors begin_ … end_ - 1 are in the ring
  std::uint32_t end_ = 0;
  std::uint32_t mask_ = 0;  ///< of the ring; its size is a power of two
  std::uint32_t* ring_ = nullptr;
  std::uint32_t* given_ = nullptr;       ///< a page: mirrors below this are used or left out
  std::uint64_t* slots_free_ = nullptr;  ///< bits, words_ a unit; none in units that are not open
  std::uint64_t* units_free_ = nullptr;  ///< bits of units with a free slot
};

}  // namespace strata::mem
