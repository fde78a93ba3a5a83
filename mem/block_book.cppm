// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

export module strata.mem:block_book;

import :address_counts;
import :bytes;
import :page_run;

/// What is known of every block: live ones, those held back after they were freed, and the last ones that are gone.
///
/// It lies in memory of its own from the OS, apart from the blocks: whatever is written over those, it stays right; and
/// what a pointer is can be told without reading what it points to.
///
///   vacant → promised → live → leaving → held → gone → vacant
///                                     └────────→┘
///
/// One thread at a time; nothing throws; only promise() takes memory. O(1) expected; find_inside() and visiting
/// O(entries).
export namespace strata::mem {

enum class book_state : std::uint8_t {
  vacant,
  promised,  ///< there will be a block
  live,
  leaving,  ///< deallocated; what becomes of it is being decided
  held,     ///< deallocated, and kept
  gone,     ///< deallocated; its memory is somebody else's
};

struct book_entry {
  std::uintptr_t block;    ///< as handed out
  std::size_t bytes;       ///< of the block
  std::size_t front;       ///< bytes of the whole in front of it
  std::size_t whole;       ///< bytes, what is around it included
  std::size_t alignment;   ///< as asked for
  std::uint64_t number;    ///< of the call that made it
  book_entry* next;        ///< in the queue it is in, if any
  book_entry* prev;        ///< likewise
  std::uint32_t made_by;   ///< thread
  std::uint32_t freed_by;  ///< thread
  book_state state;
  std::uint8_t made_depth;   ///< frames of the stack that made it
  std::uint8_t freed_depth;  ///< frames of the stack that freed it
  std::uint8_t marks;        ///< the owner's
};

class block_book {
 public:
  /// With room for two stacks of so many frames an entry, for so many blocks at most, remembering so many that are gone.
  block_book(std::size_t frames_each, std::size_t max_blocks, std::size_t remembered) noexcept
      : frames_each_(frames_each), max_blocks_(max_blocks), remembered_(remembered) {}
  ~block_book();
  block_book(const block_book&) = delete;
  block_book& operator=(const block_book&) = delete;

  struct promise_result {
    book_entry* entry = nullptr;  ///< null: refused, nothing has changed
    os_error error{};             ///< why, if the OS refused; else it is full
  };
  /// An entry for a block that is to come: from here on, entering it cannot fail.
  [[nodiscard]] promise_result promise() noexcept;
  /// The block did not come.
  void withdraw(book_entry* entry) noexcept;
  /// It is live. What was remembered of a block that is gone and began there is forgotten. Pre: promised; `block` is set;
  /// no block that is live or held begins there.
  void enter(book_entry* entry) noexcept;
  /// It begins elsewhere. What was remembered of a block that is gone and began there is forgotten. Pre: live; no other
  /// block that is live or held begins there.
  void move(book_entry* entry, std::uintptr_t to) noexcept;
  /// Pre: live.
  void leave(book_entry* entry) noexcept;
  /// It stays after all. Pre: leaving.
  void stay(book_entry* entry) noexcept;
  /// Pre: leaving.
  void hold(book_entry* entry) noexcept;
  /// The oldest one held, or null.
  [[nodiscard]] inline book_entry* oldest_held() const noexcept { return held_.first; }
  /// Its memory is somebody else's from now on. Pre: leaving or held.
  void dismiss(book_entry* entry) noexcept;

  /// What is known of a block that begins there, or null.
  [[nodiscard]] book_entry* find(std::uintptr_t block) const noexcept;
  /// The live or held block around which this address lies, or null.
  [[nodiscard]] book_entry* find_inside(std::uintptr_t where) const noexcept;

  /// The stack that made the block, and the one that freed it: as many frames as were asked for.
  [[nodiscard]] std::span<const void*> made_at(book_entry* entry) const noexcept {
    return {frames(entry), frames_each_};
  }
  [[nodiscard]] std::span<const void*> freed_at(book_entry* entry) const noexcept {
    return {frames(entry) + frames_each_, frames_each_};
  }

  /// Entries by number, 0 … extent() - 1, vacant ones too.
  [[nodiscard]] inline std::size_t extent() const noexcept { return extent_; }
  [[nodiscard]] book_entry* at(std::size_t index) const noexcept;

  template <class Visitor>
  void visit(Visitor&& visitor) const {
    std::size_t left = extent_;
    for (std::size_t c = 0; left != 0; ++c) {
      auto* entry = static_cast<std::byte*>(chunks_[c].base);
      const std::size_t here = std::min(left, chunks_[c].bytes / entry_bytes());
      for (std::size_t i = 0; i < here; ++i, entry += entry_bytes()) {
        auto* const e = mem::at<book_entry>(entry, 0);
        if (e->state != book_state::vacant) visitor(e);
      }
      left -= here;
    }
  }

  /// What contradicts what, or null. O(entries).
  [[nodiscard]] const char* check() const noexcept;

 private:
  struct queue {
    book_entry* first = nullptr;
    book_entry* last = nullptr;
    std::size_t size = 0;
    void push(book_entry* entry) noexcept;
    void remove(book_entry* entry) noexcept;
  };

  static constexpr std::size_t first_chunk = std::size_t{16} << 10;  ///< bytes; each is twice the one before

  [[nodiscard]] std::size_t entry_bytes() const noexcept {
    return sizeof(book_entry) + 2 * frames_each_ * sizeof(const void*);
  }
  [[nodiscard]] static const void** frames(book_entry* entry) noexcept { return mem::at<const void*>(entry + 1, 0); }
  [[nodiscard]] os_error grow() noexcept;
  void vacate(book_entry* entry) noexcept;

  const std::size_t frames_each_;
  const std::size_t max_blocks_;
  const std::size_t remembered_;
  address_counts by_address_;  ///< of each block that is not promised, its entry
  std::array<page_run, 40> chunks_{};
  std::size_t chunk_count_ = 0;
  std::size_t capacity_ = 0;  ///< entries
  std::size_t extent_ = 0;    ///< entries that were ever used
  book_entry* vacant_ = nullptr;
  queue held_;
  queue gone_;
  std::size_t promised_ = 0;
  std::size_t kept_ = 0;  ///< entries promised, live, leaving or held
};

}  // namespace strata::mem
