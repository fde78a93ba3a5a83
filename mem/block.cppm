// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>

export module strata.mem:block;

import :bytes;

/// A block of a boundary-tag heap (Knuth 1962; Plan 9 pool, dlmalloc): its size stands at its start and, while it is
/// free, at its end too, so that both neighbours are found by arithmetic.
///
///          +0       +8                                          size
///   used   | word   | payload, as asked for ......... | slack | word of the next block
///   movable| word   | payload ................... | owner, n | word of the next block      n: bytes asked for, alignment
///   placed | word   | way | - | filler | as asked for | slack | word of the next block
///   kept   | word   | next   | (untouched) .................. | word of the next block
///   free   | word   | next   | prev   | (untouched) ... | size | word of the next block
///
///   word = seal:16 | 2 flags | size/16:42 | 4 flags
///
/// A block is free when neighbours may join it, and kept when it was taken back and waits for a request of its size:
/// its neighbours see a used one. Slack is what a used block holds beyond what was asked for; the last byte says how
/// much, or, when that is 255, the eight bytes in front of it do. A movable block says who is told when it moves. A
/// placed block was handed out by an address that no payload starts at; see :placed_block.
///
/// The seal binds the word to its address and to a key of the heap. An overwritten word, a pointer that was never
/// handed out and a word copied from elsewhere are recognised, but for one chance in 65 536.
export namespace strata::mem {

// A heap's words may lie in hidden memory (:inspector), where none but the heap looks.
#pragma clang attribute push(__attribute__((no_sanitize("address"))), apply_to = function)

struct block {
  static constexpr std::uint64_t used = 1;  ///< handed out
  static constexpr std::uint64_t prev_used =
      2;  ///< the block below is handed out (or there is none): no size stands in front of us
  static constexpr std::uint64_t first = 4;                        ///< lowest block of its region
  static constexpr std::uint64_t slacked = 8;                      ///< used only: it has slack
  static constexpr std::uint64_t kept = std::uint64_t{1} << 47;    ///< not used, and not free
  static constexpr std::uint64_t movable = kept;                   ///< on a used block: it has an owner_note
  static constexpr std::uint64_t placed = std::uint64_t{1} << 46;  ///< used only: handed out by another address
  static constexpr std::uint64_t flags = movable | placed | 15;
  static constexpr std::uint64_t seal_mask = 0xFFFF'0000'0000'0000U;
  static constexpr std::uint64_t size_mask = ~(seal_mask | flags);

  static constexpr std::size_t unit = 16;      ///< sizes are multiples of this; payloads are aligned to it
  static constexpr std::size_t overhead = 8;   ///< bytes of a used block that are not payload
  static constexpr std::size_t smallest = 32;  ///< word, two links, size at the end

  std::uint64_t word;
  block* next;  ///< kept and free: same list
  block* prev;  ///< free only

  [[nodiscard]] inline std::size_t size() const noexcept { return word & size_mask; }
  [[nodiscard]] inline bool is_used() const noexcept { return (word & used) != 0; }
  [[nodiscard]] inline bool is_used_of(std::size_t size) const noexcept {
    return (word & ~(seal_mask | prev_used | first | slacked)) == (size | used);
  }
  [[nodiscard]] inline bool is_kept() const noexcept { return (word & (used | kept)) == kept; }
  [[nodiscard]] inline bool is_free() const noexcept { return (word & (used | kept)) == 0; }
  [[nodiscard]] inline bool is_movable() const noexcept { return (word & (used | movable)) == (used | movable); }
  [[nodiscard]] inline bool is_placed() const noexcept { return (word & (used | placed)) == (used | placed); }
  [[nodiscard]] inline bool is_prev_used() const noexcept { return (word & prev_used) != 0; }
  [[nodiscard]] inline bool is_first() const noexcept { return (word & first) != 0; }

  /// Ends a region: size 0, never free.
  [[nodiscard]] inline bool is_sentinel() const noexcept { return size() == 0; }

  [[nodiscard]] inline void* payload() noexcept { return &next; }
  [[nodiscard]] inline const void* payload() const noexcept { return &next; }
  [[nodiscard]] static inline block* of(void* payload) noexcept { return at<block>(payload, -8); }
  [[nodiscard]] static inline const block* of(const void* payload) noexcept { return at<block>(payload, -8); }

  [[nodiscard]] inline block* above() noexcept { return at<block>(this, static_cast<std::ptrdiff_t>(size())); }
  [[nodiscard]] inline const block* above() const noexcept {
    return at<block>(this, static_cast<std::ptrdiff_t>(size()));
  }

  /// Size of the free block below. Pre: !is_prev_used().
  [[nodiscard]] inline std::size_t size_below() const noexcept { return *at<std::size_t>(this, -8); }
  [[nodiscard]] inline block* below() noexcept { return at<block>(this, -static_cast<std::ptrdiff_t>(size_below())); }

  /// Pre: free.
  inline void write_size_at_end() noexcept { *at<std::size_t>(above(), -8) = size(); }
  [[nodiscard]] inline std::size_t size_at_end() const noexcept { return *at<std::size_t>(above(), -8); }

  /// Bytes that fit, asked for or not.
  [[nodiscard]] inline std::size_t capacity() const noexcept { return size() - overhead; }

  /// Bytes of the payload that were not asked for. Pre: used.
  [[nodiscard]] inline std::size_t slack() const noexcept {
    if ((word & slacked) == 0) return 0;
    const auto last = *at<const std::uint8_t>(above(), -1);
    if (last != 255) return last;
    std::size_t slack = 0;
    __builtin_memcpy(&slack, at<const std::byte>(above(), -9), sizeof(slack));
    return slack;
  }

  /// Last bytes of a movable block.
  struct owner_note {
    void* owner;          ///< whoever is told when the block moves
    std::uint64_t asked;  ///< bytes asked for, and log2 of the alignment to be kept in the top byte
  };
  [[nodiscard]] inline owner_note* note() noexcept { return at<owner_note>(above(), -16); }
  [[nodiscard]] inline const owner_note* note() const noexcept { return at<owner_note>(above(), -16); }
  static constexpr unsigned log_shift = 56;

  /// Bytes from the payload's start to the address handed out. Pre: used.
  [[nodiscard]] inline std::size_t way() const noexcept {
    // Volatile, so that it is read only where it is: the links of a free block lie there too, so a compiler takes it for
    // readable in any block and may read before it asks. But a payload may be somebody's guard page.
    return is_placed() ? *static_cast<const volatile std::size_t*>(at<std::size_t>(payload(), 0)) : 0;
  }
  [[nodiscard]] inline const void* handed_out() const noexcept {
    return at<std::byte>(payload(), static_cast<std::ptrdiff_t>(way()));
  }

  /// Bytes of the payload that are not for whoever asked, and not slack. Pre: used.
  [[nodiscard]] inline std::size_t own_use() const noexcept { return is_movable() ? sizeof(owner_note) : way(); }

  /// Bytes asked for. Pre: used.
  [[nodiscard]] inline std::size_t asked() const noexcept {
    if (is_movable()) return note()->asked & ((std::uint64_t{1} << log_shift) - 1);
    return capacity() - slack() - way();
  }

  /// Writes how much of a block of `size` bytes is slack when `bytes` are asked for; the flags to go with it.
  inline std::uint64_t note_asked(std::size_t size, std::size_t bytes) noexcept {
    const std::size_t slack = size - overhead - bytes;
    if (slack == 0) return 0;
    auto* const end = at<std::uint8_t>(this, static_cast<std::ptrdiff_t>(size));
    if (slack < 255) [[likely]] {
      end[-1] = static_cast<std::uint8_t>(slack);
    } else {
      end[-1] = 255;
      __builtin_memcpy(end - 9, &slack, sizeof(slack));
    }
    return slacked;
  }

  inline void write(std::size_t size, std::uint64_t with, std::uint64_t key) noexcept {
    word = sealed(size | with, key);
  }
  inline void set(std::uint64_t flag, std::uint64_t key) noexcept { word = sealed((word & ~seal_mask) | flag, key); }
  inline void clear(std::uint64_t flag, std::uint64_t key) noexcept { word = sealed((word & ~seal_mask) & ~flag, key); }

  [[nodiscard]] inline bool is_sealed(std::uint64_t key) const noexcept {
    return word == sealed(word & ~seal_mask, key);
  }

  /// `body` with the seal of a word at `where`. The high bits of a product depend on every bit below: one multiplication
  /// makes a seal.
  [[nodiscard]] static inline std::uint64_t sealed_at(std::uintptr_t where, std::uint64_t body,
                                                      std::uint64_t key) noexcept {
    return body | (((body ^ where ^ key) * 0x9E37'79B9'7F4A'7C15U) & seal_mask);
  }

 private:
  [[nodiscard]] inline std::uint64_t sealed(std::uint64_t body, std::uint64_t key) const noexcept {
    return sealed_at(address(this), body, key);
  }
};

static_assert(sizeof(block) == 24);

#pragma clang attribute pop

}  // namespace strata::mem
