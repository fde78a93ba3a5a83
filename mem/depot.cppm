// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>

export module strata.mem:depot;

/// Free slots of one class that threads gave back last, for whichever thread runs out next (the depot of Bonwick, Adams
/// 2001).
///
///   newest piece | below | count | slots … |   →   | below | count | slots … |   →   null
///
/// A stack of pointers, moved in batches: what was put last is taken first, in the same order, and is likely to be in
/// some processor's cache still. Pieces are memory of the caller's; one that is empty stays for the next batch.
///
/// One thread at a time. Nothing throws, allocates or locks; O(slots moved).
export namespace strata::mem {

class depot {
 public:
  static constexpr std::size_t piece_bytes = 1024;
  static constexpr std::size_t piece_slots = piece_bytes / sizeof(void*) - 2;  ///< most in a batch

  /// Slots in it.
  [[nodiscard]] inline std::size_t count() const noexcept { return count_; }
  /// Pieces in use, empty or not.
  [[nodiscard]] inline std::size_t pieces() const noexcept { return pieces_; }

  /// Whether put() of so many needs add() first. Pre: slots <= piece_slots.
  [[nodiscard]] inline bool wants_piece(std::size_t slots) const noexcept {
    return spare_ == nullptr && (newest_ == nullptr || piece_slots - newest_->count < slots);
  }
  /// Takes a piece into use. Pre: `memory` is piece_bytes long, aligned to a pointer.
  void add(void* memory) noexcept;

  /// Pre: !wants_piece(count).
  void put(void* const* slots, std::size_t count) noexcept;

  /// Moves up to `wanted` to `out`, the newest last. Returns how many.
  std::size_t take(void** out, std::size_t wanted) noexcept;

  /// Takes an empty piece out of use and returns it, if there are more than `keep`; else null.
  [[nodiscard]] void* remove_empty(std::size_t keep) noexcept;

  /// Forgets everything.
  void clear() noexcept { *this = depot(); }

  /// Whether the counts agree with the pieces.
  [[nodiscard]] bool is_consistent() const noexcept;

 private:
  struct piece {
    piece* below;
    std::size_t count;
    void* slots[piece_slots];
  };
  static_assert(sizeof(piece) == piece_bytes);

  piece* newest_ = nullptr;  ///< none of these is empty
  piece* spare_ = nullptr;   ///< all of these are
  std::size_t count_ = 0;
  std::size_t pieces_ = 0;
};

}  // namespace strata::mem
