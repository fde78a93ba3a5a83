// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>

export module strata.mem:shadow_mirrors;

import :page_run;
import :shadow_addresses;
import :shadow_mappings;
import :shadow_slab;
import :shadow_space;

/// The mirrors of the slabs of one shadow pool: whole slabs mapped, each page of which is handed out once.
///
///   open -> full, or closed -> no block left -> gone
///
/// A mirror is open while blocks may still go through it. It goes as soon as it has no block and has done its duty: all its
/// pages are used or left out, it was closed, or a newer one had to be made, which serves all pages.
///
/// One thread at a time; nothing throws; a system call for a mirror that comes, one for its pages, and one when it goes.
export namespace strata::mem {

class shadow_mirrors {
 public:
  shadow_mirrors(shadow_space& space, shadow_mappings& mappings) noexcept : space_(space), mappings_(mappings) {}

  /// Maps a slab once more, and makes page-table entries for so many pages from one on. What is refused may be the entries
  /// alone; the mirror is there then, and the slab's newest.
  [[nodiscard]] shadow_mappings::made open(shadow_slab* slab, std::uint32_t page, std::uint32_t pages) noexcept;

  /// A block is on a slab's place, through a mirror: those before it are left out by its pages.
  void use(shadow_slab* slab, const shadow_slab::place& where, std::uint32_t number) noexcept;

  /// A block that was on a mirror has left, and faults.
  void leave(std::uint32_t mirror) noexcept {
    shadow_strip& left = space_.strip(mirror);
    --left.live;
    --left.leaving;
  }
  /// The mirror goes if no block is left and nothing more is to come.
  void retire_if_idle(std::uint32_t mirror) noexcept;

  /// Whether nothing is left of a mirror once the blocks have left that are about to: then it goes, and needs no guards.
  [[nodiscard]] bool goes_whole(std::uint32_t mirror) const noexcept {
    const shadow_strip& m = space_.strip(mirror);
    return m.live == m.leaving && may_go(m);
  }
  /// Takes a mirror without blocks out of its slab; it is done with.
  void retire(std::uint32_t mirror) noexcept;
  /// The same of one that is not mapped any more.
  void put_to_rest(std::uint32_t mirror) noexcept;

  /// Closes all mirrors of a slab, or the oldest up to the first that has a block.
  void close_all(shadow_slab* slab) noexcept;
  void close_idle(shadow_slab* slab) noexcept;

  /// All mappings there are, blocks on mirrors, and those of them that are leaving.
  struct sum {
    std::size_t mappings = 0;
    std::size_t blocks = 0;
    std::size_t leaving = 0;
  };
  /// What contradicts what, or null. O(pages of all zones).
  [[nodiscard]] const char* check(const shadow_addresses& addresses, sum& all) const noexcept;

 private:
  [[nodiscard]] static bool may_go(const shadow_strip& mirror) noexcept;
  void close(std::uint32_t mirror) noexcept;
  void retire_if_spent(std::uint32_t mirror) noexcept;
  void drop(std::uint32_t mirror) noexcept;

  shadow_space& space_;
  shadow_mappings& mappings_;
};

}  // namespace strata::mem
