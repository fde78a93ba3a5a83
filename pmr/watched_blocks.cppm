// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/base/thread_annotations.h"

export module strata.pmr:watched_blocks;

import :call_stack;
import :debug_options;
import :finding;
import :ledger;
import :report;

import strata.mem;

/// The blocks of a debug_adaptor: what lies round each, what is known of each, and what is wrong with one.
///
///   | unallocated … | pad | block …… | pad to a multiple of 16 |      the pad in front touches the block
///   └─ start, aligned as the block ─┴────────────────────────┘
///
/// Pads are written when a block is handed out and compared when it comes back and whenever somebody asks. What is known
/// lies apart (mem:block_book), so a pointer is judged without reading what it points to; and all watched_blocks of the
/// process know of one another, so that a block of another memory is told as such.
///
/// Any thread. Nothing throws. The lock is only over the book and over comparing; nobody else is called under it.
namespace strata::pmr {

class watched_blocks {
 public:
  explicit watched_blocks(const debug& options) noexcept;
  ~watched_blocks();
  watched_blocks(const watched_blocks&) = delete;
  watched_blocks& operator=(const watched_blocks&) = delete;

  struct shape {
    std::size_t front = 0;  ///< bytes in front of the block
    std::size_t whole = 0;  ///< bytes in all
  };
  /// What a block takes; false when no machine has so much.
  [[nodiscard]] bool shape_of(std::size_t bytes, std::size_t alignment, shape& out) const noexcept;

  // --- a block comes: promise(), ask upstream, admit() or withdraw()
  [[nodiscard]] mem::block_book::promise_result promise() noexcept;
  void withdraw(mem::book_entry* entry) noexcept;
  struct arrival {
    void* start;  ///< from upstream
    shape size;
    std::size_t bytes;
    std::size_t alignment;
    std::uint64_t number;
    call_site from;
    bool fill;  ///< with the patterns of antagonism
  };
  /// Dresses the block and enters it. A finding: upstream handed it out twice; then nothing was written, and the promise
  /// is void.
  [[nodiscard]] finding admit(mem::book_entry* entry, const arrival& block) noexcept;
  void note_failure() noexcept;

  // --- a block goes: take(), then put_back() or hold() or dismiss()
  static constexpr std::size_t any = SIZE_MAX;
  struct claim {
    const void* pointer;
    std::size_t bytes = any;      ///< any: is not compared
    std::size_t alignment = any;  ///< any: is not compared
    bool tolerance = false;
  };
  /// What is wrong with the claim, or none: then `taken` is the caller's. `aside` gets a single zero that was tolerated,
  /// unless it was told before.
  [[nodiscard]] finding take(const claim& of, const call_site& by, mem::book_entry*& taken, finding& aside) noexcept;
  void put_back(mem::book_entry* taken) noexcept;
  /// What goes back upstream.
  struct departure {
    void* start = nullptr;
    std::size_t whole = 0;
    std::size_t alignment = 0;
  };
  [[nodiscard]] departure dismiss(mem::book_entry* taken, bool fill) noexcept;
  void hold(mem::book_entry* taken) noexcept;
  /// The oldest block held, if more bytes than that are held: it goes. A finding: it was written to, and stays.
  [[nodiscard]] finding release_held(std::size_t more_than, departure& out) noexcept;

  // --- questions
  [[nodiscard]] finding look(const claim& at, finding& aside) const noexcept;
  [[nodiscard]] finding look_at_all(bool tolerance, finding& aside) const noexcept;
  [[nodiscard]] bool owns(const void* p) const noexcept;
  /// Of the live block that begins there; 0 when none does.
  [[nodiscard]] std::size_t bytes_at(const void* p) const noexcept;
  /// The first live blocks, as many as fit; returns how many there are.
  std::size_t live_blocks(std::span<block_copy> first) const noexcept;
  [[nodiscard]] std::size_t extent() const noexcept;
  /// Number `index` of extent(); false when there is none just now.
  [[nodiscard]] bool copy(std::size_t index, block_copy& out) const noexcept;
  [[nodiscard]] statistics figures() const noexcept;
  [[nodiscard]] mem::os_error unknown_to_fork() const noexcept { return lock_.unknown_to_fork(); }

  /// Writes everything anew that was compared.
  void dress_all() noexcept;
  /// All blocks are void.
  void forget_all() noexcept;

 private:
  friend class watch_list;
  struct spot {
    misuse_kind kind = misuse_kind::none;
    const void* where = nullptr;
  };

  [[nodiscard]] spot inspect(const mem::book_entry* entry, bool tolerance) const noexcept;
  void write_pads(const mem::book_entry* entry) const noexcept;
  [[nodiscard]] finding judge(mem::book_entry* entry, const claim& of, finding& aside) const noexcept
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  [[nodiscard]] finding about(mem::book_entry* entry, spot what) const noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  [[nodiscard]] bool is_tolerated(mem::book_entry* entry, spot what, finding& aside) const noexcept
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  void copy_entry(mem::book_entry* entry, block_copy& out) const noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_);
  [[nodiscard]] finding judge_stranger(const void* pointer) const noexcept;

  const char* const name_;
  const std::size_t pad_;
  const std::uint64_t key_;
  mutable mem::mutex lock_{"of a debug layer's book"};
  mem::block_book book_ ABSL_GUARDED_BY(lock_);
  ledger ledger_ ABSL_GUARDED_BY(lock_);
  std::size_t upstream_ ABSL_GUARDED_BY(lock_) = 0;  ///< bytes
  std::size_t held_ ABSL_GUARDED_BY(lock_) = 0;      ///< bytes, of the whole
  watched_blocks* next_ = nullptr;                   ///< all of the process, under their list's lock
  watched_blocks* prev_ = nullptr;
};

}  // namespace strata::pmr
