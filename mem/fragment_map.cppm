// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

export module strata.mem:fragment_map;

import :bitmap;
import :bytes;
import :stripes;

/// Fragments of one piece of memory: which are taken, by blocks of how many, and whose block an address lies in.
///
///   tables  | this object | a bit a fragment | a descriptor a fragment | a tag a fragment |
///   data    | fragment 0 | fragment 1 | … |                 starts at a page; a page is a power of two of fragments
///
///   descriptor   of a block's first fragment   start | fragments of the block
///                of its others                 distance to the first
///
/// Blocks of up to a page never cross a page; larger ones start at one. They are found by first fit from a hint that each
/// stripe of threads keeps for each length: where it last found such a block, or gave one back below that.
///
/// Only a block's first descriptor says that it is live. The others stay behind when it goes; what they point to is then
/// no start, or the start of a block that ends before them. So giving back writes one descriptor, and exactly one of two
/// threads that give back the same block does.
///
/// Any thread; nothing throws, allocates, locks or sleeps. Taking costs what bitmap::claim() costs and a store for each
/// fragment; giving back a cell each 64 fragments; find() O(1).
export namespace strata::mem {

struct fragment_shape {
  std::size_t fragment_bytes;  ///< a power of two
  std::size_t page_bytes;      ///< a power of two of fragments
  std::size_t count;           ///< fragments, at most fragment_map::max_count
};

/// A name for whom a block is: 0 for nobody in particular.
using fragment_tag = std::uint16_t;

enum class fragment_fault : std::uint8_t {
  none,
  foreign,      ///< not in this memory
  not_live,     ///< no live block there
  interior,     ///< in a live block, not at its start
  other_size,   ///< a live block of another number of fragments
  other_owner,  ///< a live block with another tag
};

[[nodiscard]] const char* describe(fragment_fault fault) noexcept;

class fragment_map {
 public:
  static constexpr std::size_t max_count = std::size_t{1} << 30;

  /// What a tables block must hold, bytes; aligned to alignof(fragment_map).
  [[nodiscard]] static std::size_t table_bytes(std::size_t count) noexcept;

  /// A map in `tables`, for data at `base`. Both outlive it; nothing has to be destroyed. Pre: `base` is aligned to a
  /// page.
  [[nodiscard]] static fragment_map* make(void* tables, void* base, const fragment_shape& shape) noexcept;

  fragment_map(const fragment_map&) = delete;
  fragment_map& operator=(const fragment_map&) = delete;

  struct taken {
    void* block = nullptr;  ///< or null, and claim.outcome says why
    claim_result claim;
  };

  /// A block of `n` fragments, aligned to `alignment` bytes. Pre: n > 0, a power of two.
  [[nodiscard]] taken take(std::size_t n, std::size_t alignment, fragment_tag tag) noexcept;

  /// Takes back a live block of `n` fragments, of any if 0. A fault changes nothing.
  [[nodiscard]] fragment_fault put(void* block, std::size_t n, fragment_tag tag) noexcept;

  /// Takes back all but the first `n` fragments of a live block. Pre: it has at least so many, n > 0, it is the
  /// caller's.
  void shrink(void* block, std::size_t n) noexcept;

  struct found {
    void* start = nullptr;  ///< of the block, or null when there is none
    std::size_t fragments = 0;
    fragment_tag tag = 0;
  };

  /// The live block that `p`, any address, lies in.
  [[nodiscard]] found find(const void* p) const noexcept;

  [[nodiscard]] bool contains(const void* p) const noexcept { return index_of(p) < shape_.count; }

  /// Takes all fragments at once, so that nobody finds one: the region rests, and as long as it does nobody needed it. False,
  /// nothing changed, when one is out. Like the next three for one thread at a time.
  [[nodiscard]] bool rest() noexcept;
  /// Has them again. Pre: it rests.
  void wake() noexcept;
  [[nodiscard]] bool is_resting() const noexcept { return resting_.load(std::memory_order_relaxed); }

  /// Rests and forgets the data, which is then the caller's; null, nothing changed, when a fragment is out or there is none.
  [[nodiscard]] void* retire() noexcept;
  /// Has data again, all of it free. Pre: it was retired; one thread; as for make().
  void revive(void* base) noexcept;

  [[nodiscard]] const fragment_shape& shape() const noexcept { return shape_; }
  /// In a child of fork(): what threads of the parent were just taking or giving back is free, and nobody is on his way.
  void forked() noexcept;

  /// Where the data is; null when retired.
  [[nodiscard]] std::byte* base() const noexcept { return base_.load(std::memory_order_acquire); }
  [[nodiscard]] const bitmap<>& bits() const noexcept { return bits_; }
  /// Fragments that lie in no block. Pre: there is data.
  [[nodiscard]] std::size_t free() const noexcept { return is_resting() ? shape_.count : shape_.count - bits_.taken(); }
  /// Fragments of the largest block that could be had now: more than a page of them start at a page.
  [[nodiscard]] std::size_t longest_free() const noexcept {
    if (is_resting()) return shape_.count;
    return bits_.longest_free(a_page_, (address(base()) >> log_) & (a_page_ - 1));
  }

  /// Verifies that bits and descriptors agree; a sentence, or null. Pre: nobody else calls just now.
  [[nodiscard]] const char* check() const noexcept;

 private:
  using descriptor = std::atomic<std::uint32_t>;
  static constexpr std::uint32_t start = std::uint32_t{1} << 31;

  // Where a stripe looks first, by the logarithm of the length.
  static constexpr std::size_t lengths = 8;
  using hints = std::array<std::atomic<std::uint32_t>, lengths>;

  struct parts {
    bitmap<>::cell* cells;
    descriptor* descriptors;
    std::atomic<fragment_tag>* tags;
    std::size_t bytes;
  };
  [[nodiscard]] static parts parts_in(void* tables, std::size_t count) noexcept;
  [[nodiscard]] static std::size_t length_of(std::size_t n) noexcept;

  fragment_map(const parts& in, void* base, const fragment_shape& shape) noexcept;

  [[nodiscard]] std::size_t index_of(const void* p) const noexcept;
  [[nodiscard]] std::size_t start_of(std::size_t i) const noexcept;
  [[nodiscard]] std::byte* block_at(std::size_t i, std::byte* base) const noexcept { return base + (i << log_); }

  const fragment_shape shape_;
  const unsigned log_;        ///< of fragment_bytes
  const std::size_t a_page_;  ///< fragments
  std::atomic<std::byte*> base_;
  bitmap<>
      bits_;  ///< invariant: taken bits are those of live blocks and of blocks on their way in or out; all, if resting
  std::atomic<bool> resting_{false};  ///< has no block; always, without data
  descriptor* const descriptors_;
  std::atomic<fragment_tag>* const tags_;  ///< right for first fragments of live blocks
  stripes<hints> hints_;
};

}  // namespace strata::mem
