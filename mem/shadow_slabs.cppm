// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

export module strata.mem:shadow_slabs;

import :decay;
import :page_run;
import :shadow_object;
import :shadow_slab;
import :shadow_space;
import :size_class;

/// The slabs of one shadow pool, by size class: which have room, and which are of no use.
///
/// A slab is listed when it becomes roomy, and is no longer when it is full: in between it serves if it did before. The
/// more slabs a class has, the larger is the next. A slab without blocks is of no use; after a whole decay without any it may
/// go, but one that was reserved waits for its first block.
///
/// One thread at a time; nothing throws; O(1), but where it says otherwise.
export namespace strata::mem {

class shadow_slabs {
 public:
  shadow_slabs() = default;
  /// They are all gone; what is mapped of them is not.
  ~shadow_slabs();
  shadow_slabs(const shadow_slabs&) = delete;
  shadow_slabs& operator=(const shadow_slabs&) = delete;

  struct made {
    shadow_slab* slab = nullptr;  ///< null: refused
    os_error error{};
  };
  /// A slab of a class, over a piece of the object; listed.
  [[nodiscard]] made make(std::size_t size_class, shadow_object& object) noexcept;

  /// The slabs of a class that are listed, by `next`.
  [[nodiscard]] inline shadow_slab* with_room(std::size_t size_class) const noexcept {
    return classes_[size_class].with_room;
  }
  /// Lists a slab of the class that has room, though little. O(slabs); false when there is none.
  [[nodiscard]] bool list_any(std::size_t size_class) noexcept;
  /// Any slab of the class that has a free slot in open pages; null: none. O(slabs).
  [[nodiscard]] shadow_slab* with_open_slot(std::size_t size_class) const noexcept;

  /// A slot of a slab was taken, or given back.
  void took(shadow_slab* slab) noexcept;
  void gave(shadow_slab* slab) noexcept;

  /// Bytes of slots that are taken.
  [[nodiscard]] inline std::size_t held() const noexcept { return held_; }
  /// Whether a slab has given its last block since this was asked.
  [[nodiscard]] inline bool forget_emptied() noexcept { return std::exchange(emptied_, false); }

  /// Whether a slab had no block for the whole of a decay, at `now`: each slab is asked with each look.
  [[nodiscard]] static bool is_unused(shadow_slab* slab, decay_period period, std::uint64_t now) noexcept;

  /// Ends the slabs of which goes(slab) says so. O(slabs).
  template <class Goes>
  void end_if(const Goes& goes) noexcept {
    for (shadow_slab** link = &all_; *link != nullptr;) {
      if (shadow_slab* const slab = *link; goes(slab)) {
        *link = slab->elder;
        end(slab);
      } else {
        link = &slab->elder;
      }
    }
  }

  template <class Visitor>
  void visit(const Visitor& visitor) const {
    for (shadow_slab* slab = all_; slab != nullptr; slab = slab->elder) visitor(slab);
  }

  /// What contradicts what, or null. O(slots).
  [[nodiscard]] const char* check() const noexcept;

 private:
  struct class_state {
    shadow_slab* with_room = nullptr;  ///< list
    std::uint32_t pages = 0;           ///< of all slabs
  };

  void list(shadow_slab* slab) noexcept;
  void unlist(shadow_slab* slab) noexcept;
  void end(shadow_slab* slab) noexcept;

  std::array<class_state, size_class::count> classes_{};
  shadow_slab* all_ = nullptr;  ///< every slab, by its `elder`
  std::size_t held_ = 0;        ///< bytes
  bool emptied_ = false;
};

}  // namespace strata::mem
