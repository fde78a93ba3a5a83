// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>

export module strata.mem:shadow_mappings;

import :page_guards;
import :page_run;
import :shadow_addresses;
import :shadow_object;
import :shadow_space;

/// The mappings of one shadow pool: pieces of its object over strips of its addresses, within a budget.
///
///   object     | piece | piece |        a piece may be mapped many times
///   addresses  | piece | nothing | piece | piece | …
///
/// A mapping that is done with is replaced by nothing at all, in one call, and aliases and guards are gone with it; its
/// strips rest. Counted are mappings, the gap that each zone may have, and the pieces that protected pages cut them into.
///
/// One thread at a time; nothing throws; a system call or two each.
export namespace strata::mem {

/// Why a block cannot be had.
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

class shadow_mappings {
 public:
  static constexpr std::uint32_t none = UINT32_MAX;

  /// At most so many mappings.
  shadow_mappings(shadow_space& space, shadow_object& object, shadow_addresses& addresses, page_guards& guards,
                  std::size_t budget) noexcept
      : space_(space), object_(object), addresses_(addresses), guards_(guards), budget_(budget) {}
  /// Its addresses are still to be sealed off.
  ~shadow_mappings() { page_guards::forget(split_); }
  shadow_mappings(const shadow_mappings&) = delete;
  shadow_mappings& operator=(const shadow_mappings&) = delete;

  struct made {
    std::uint32_t mapping = none;  ///< the first strip
    shadow_refusal why = shadow_refusal::none;
    os_error error{};
  };
  /// Maps a piece of the object at a multiple of `aligned` strips.
  [[nodiscard]] made make(std::uint64_t offset, std::size_t pages, std::size_t aligned) noexcept;

  /// Replaces a mapping by nothing. When the OS refuses, its pages are guarded, or that many blocks are exposed that could
  /// have been on them.
  void retire(std::uint32_t mapping) noexcept;
  /// Replaces mappings from one on to behind another by nothing. Pre: they lie in a row. False: nothing has changed.
  [[nodiscard]] bool clear(std::uint32_t mapping, std::uint32_t end) noexcept;
  /// The strips of a mapping that is gone rest.
  void put_to_rest(std::uint32_t mapping) noexcept;

  /// A range of a mapping was protected.
  void note_protected(std::uint32_t mapping) noexcept {
    ++space_.strip(mapping).split;
    ++split_;
  }

  /// Whether the budget is not used up.
  [[nodiscard]] inline bool has_room() const noexcept { return cost() < budget_; }
  /// Mappings that the process has on account of all this, at most.
  [[nodiscard]] inline std::size_t cost() const noexcept {
    return count_ + addresses_.zones() + split_ * page_guards::mappings_each;
  }
  [[nodiscard]] inline std::size_t count() const noexcept { return count_; }
  /// Blocks on pages that could neither be unmapped nor guarded, at most.
  [[nodiscard]] inline std::size_t exposed() const noexcept { return exposed_; }

  /// Maps another object where this one is, piece by piece. Guards are gone then. False: some may be mapped, some not.
  [[nodiscard]] bool map_again(const shadow_object& other) noexcept;
  /// Makes all inaccessible; nothing is mapped any more.
  void seal_off() noexcept;

 private:
  shadow_space& space_;
  shadow_object& object_;
  shadow_addresses& addresses_;
  page_guards& guards_;
  const std::size_t budget_;
  std::size_t count_ = 0;
  std::size_t split_ = 0;  ///< protected ranges in mappings that are there
  std::size_t exposed_ = 0;
};

}  // namespace strata::mem
