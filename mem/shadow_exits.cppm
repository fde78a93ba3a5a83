// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <span>

export module strata.mem:shadow_exits;

import :page_guards;
import :shadow_mappings;
import :shadow_mirrors;
import :shadow_slabs;
import :shadow_space;

/// How blocks leave the slabs of one shadow pool: their pages are made to fault, then their slots are free.
///
///   batch, in order   | a b | c | d e f … | g |       a b: on pages in a row, one guard; d e f …: all that is on mirrors
///                                                     in a row which go with them: one call, and no guards at all
///
/// A block that no guard can be had for leaves all the same: it is counted.
///
/// One thread at a time; nothing throws; a system call for each row of pages, and one for each mirror that goes.
export namespace strata::mem {

class shadow_exits {
 public:
  shadow_exits(shadow_space& space, page_guards& guards, shadow_mappings& mappings, shadow_mirrors& mirrors,
               shadow_slabs& slabs) noexcept
      : space_(space), guards_(guards), mappings_(mappings), mirrors_(mirrors), slabs_(slabs) {}

  /// A block that begins on a page leaves: its pages were guarded so.
  void leave(std::size_t page, page_guards::means how) noexcept;

  /// Blocks that begin on these pages leave, pages in order. Pre: all that is leaving is among them.
  void leave_all(std::span<const std::uint32_t> batch) noexcept;

  /// Sets the guards of a mapping again, after something else was mapped there. `leaving`: blocks that were about to leave do.
  void guard_again(std::uint32_t mapping, bool leaving) noexcept;

  /// Blocks that left with a guard so far, those that left without, and calls to make blocks fault.
  [[nodiscard]] inline std::size_t guarded() const noexcept { return guarded_; }
  [[nodiscard]] inline std::size_t exposed() const noexcept { return exposed_; }
  [[nodiscard]] inline std::size_t calls() const noexcept { return calls_; }

 private:
  [[nodiscard]] page_guards::means guard(std::size_t first, std::size_t last) noexcept;
  void count(std::size_t page, page_guards::means how) noexcept;
  void free_slot(std::size_t page, page_guards::means how) noexcept;
  [[nodiscard]] std::size_t leave_whole(std::span<const std::uint32_t> batch) noexcept;
  [[nodiscard]] std::size_t leave_row(std::span<const std::uint32_t> batch) noexcept;

  shadow_space& space_;
  page_guards& guards_;
  shadow_mappings& mappings_;
  shadow_mirrors& mirrors_;
  shadow_slabs& slabs_;
  std::size_t guarded_ = 0;
  std::size_t exposed_ = 0;
  std::size_t calls_ = 0;
};

}  // namespace strata::mem
