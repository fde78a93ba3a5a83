// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>

#include "absl/base/thread_annotations.h"

module strata.pmr:inspected_blocks.impl;

import :finding;
import :inspected_blocks;
import :ledger;
import :misuse;
import :report;

import strata.mem;

namespace strata::pmr {

namespace {

constexpr std::size_t front_bytes = 16;   ///< hidden in front of a block, at least
constexpr std::size_t rear_bytes = 8;     ///< hidden behind it, at least
constexpr std::size_t remembered = 4096;  ///< blocks that are gone, of which a second deallocation is known as such

void* block_of(const mem::book_entry* e) noexcept { return reinterpret_cast<void*>(e->block); }
std::byte* start_of(const mem::book_entry* e) noexcept { return static_cast<std::byte*>(block_of(e)) - e->front; }

// A room with a front was asked for with an alignment of its own.
std::size_t alignment_of_room(std::size_t front, std::size_t alignment) noexcept {
  return front == 0 ? alignment : std::max(alignment, front_bytes);
}

}  // namespace

class inspected_blocks::book {
 public:
  /// In pages of its own, or null.
  [[nodiscard]] static book* make(const char* name) noexcept {
    const mem::page_run_result got = mem::map_run(sizeof(book), mem::page_bytes(), {.label = "strata: inspected"});
    return got.run.base == nullptr ? nullptr : ::new (got.run.base) book(name, got.run);
  }
  static void unmake(book* b) noexcept {
    const mem::page_run run = b->run_;
    b->~book();
    (void)mem::unmap_run(run);
  }
  book(const book&) = delete;
  book& operator=(const book&) = delete;

  mem::mutex lock{mem::lock_rank::inspected_books, "of what is known of inspected blocks"};
  mem::block_book blocks ABSL_GUARDED_BY(lock){0, SIZE_MAX, remembered};
  ledger figures ABSL_GUARDED_BY(lock);
  std::size_t rooms ABSL_GUARDED_BY(lock) = 0;       ///< bytes, of blocks live and held
  std::size_t peak ABSL_GUARDED_BY(lock) = 0;        ///< highest live seen by over()
  std::size_t held_bytes ABSL_GUARDED_BY(lock) = 0;  ///< of rooms
  std::size_t held_blocks ABSL_GUARDED_BY(lock) = 0;
  const char* const name;
  book* next = nullptr;  ///< all of the process, under their list's lock
  book* prev = nullptr;

 private:
  book(const char* of, mem::page_run run) noexcept : name(of), run_(run) {}
  ~book() = default;

  const mem::page_run run_;
};

// All of the process. Never destroyed: static objects may be keepers.
class inspected_list {
 public:
  using book = inspected_blocks::book;

  static inspected_list& instance() noexcept {
    alignas(inspected_list) static std::byte place[sizeof(inspected_list)];
    static inspected_list* const made = ::new (place) inspected_list;
    return *made;
  }

  void add(book* b) noexcept {
    const mem::lock held(lock_);
    b->next = first_;
    if (first_ != nullptr) first_->prev = b;
    first_ = b;
  }
  void remove(book* b) noexcept {
    const mem::lock held(lock_);
    if (b->next != nullptr) b->next->prev = b->prev;
    (b->prev != nullptr ? b->prev->next : first_) = b->next;
  }

  // Whose live block begins there, or, if none does, in whose it lies; other than `asking`. The keeper made last first: of a
  // stack the upper.
  [[nodiscard]] finding find(const book* asking, const void* p, bool inside) noexcept {
    const mem::lock held(lock_);
    for (book* b = first_; b != nullptr; b = b->next) {
      if (b == asking) continue;
      const mem::lock its(b->lock);
      const mem::book_entry* const e =
          inside ? b->blocks.find_inside(mem::address(p)) : b->blocks.find(mem::address(p));
      if (e == nullptr || e->state != mem::book_state::live) continue;
      finding found;
      found.kind = misuse_kind::elsewhere;
      std::strncpy(found.other.data(), b->name, found.other.size() - 1);
      return found;
    }
    return {};
  }

 private:
  inspected_list() noexcept = default;

  mem::mutex lock_{mem::lock_rank::inspected_list, "of all inspected keepers"};
  book* first_ ABSL_GUARDED_BY(lock_) = nullptr;
};

inspected_blocks::inspected_blocks(const char* name) noexcept
    : name_(name), book_(mem::inspected() ? book::make(name) : nullptr) {
  if (book_ != nullptr) inspected_list::instance().add(book_);
}

inspected_blocks::~inspected_blocks() {
  if (book_ == nullptr) return;
  inspected_list::instance().remove(book_);
  book::unmake(book_);
}

bool inspected_blocks::room_for(std::size_t bytes, std::size_t alignment, room& out) noexcept {
  out.alignment = alignment_of_room(front_bytes, alignment);
  out.front = out.alignment;
  return mem::checked_round_up(bytes, rear_bytes, out.bytes) &&
         mem::checked_add(out.bytes, out.front + rear_bytes, out.bytes) && out.bytes <= mem::max_object;
}

mem::book_entry* inspected_blocks::promise() noexcept {
  if (book_ == nullptr) return nullptr;
  const mem::lock held(book_->lock);
  return book_->blocks.promise().entry;
}

void inspected_blocks::withdraw(mem::book_entry* entry) noexcept {
  const mem::lock held(book_->lock);
  book_->blocks.withdraw(entry);
}

void* inspected_blocks::admit(mem::book_entry* entry, const room& in, std::size_t bytes,
                              std::size_t alignment) noexcept {
  auto* const block = mem::at<std::byte>(in.start, static_cast<std::ptrdiff_t>(in.front));
  // Promised entries are nobody else's.
  entry->block = mem::address(block);
  entry->bytes = bytes;
  entry->front = in.front;
  entry->whole = in.bytes;
  entry->alignment = alignment;
  if (in.front != 0) mem::hide(in.start, in.bytes);
  mem::show(block, bytes);
  const mem::lock held(book_->lock);
  book_->blocks.enter(entry);
  book_->rooms += in.bytes;
  book_->figures.handed_out(bytes);
  return block;
}

bool inspected_blocks::take_back(const void* p, std::size_t bytes, std::size_t alignment) noexcept {
  const finding wrong = take(p, bytes, alignment);
  if (wrong) report_misuse(told(wrong, p, bytes, alignment));
  return !wrong;
}

finding inspected_blocks::take(const void* p, std::size_t bytes, std::size_t alignment) noexcept {
  return take(p, bytes, alignment, true);
}

finding inspected_blocks::take_for_good(const void* p, std::size_t bytes, std::size_t alignment) noexcept {
  return take(p, bytes, alignment, false);
}

finding inspected_blocks::take(const void* p, std::size_t bytes, std::size_t alignment, bool waits) noexcept {
  if (book_ == nullptr) return judge_stranger(p);  // nothing was ever handed out
  {
    const mem::lock held(book_->lock);
    if (mem::book_entry* const e = book_->blocks.find(mem::address(p)); e != nullptr) {
      finding wrong;
      if (e->state != mem::book_state::live) {
        wrong.kind = misuse_kind::freed_twice;
      } else if (e->bytes != bytes) {
        wrong.kind = misuse_kind::wrong_size;
      } else if (e->alignment != alignment && e->alignment != any_alignment) {
        wrong.kind = misuse_kind::wrong_alignment;
      }
      if (wrong) return wrong;
      mem::hide(p, bytes);
      book_->figures.taken_back(bytes);
      book_->blocks.leave(e);
      if (!waits) {
        book_->rooms -= e->whole;
        book_->blocks.dismiss(e);
        return {};
      }
      book_->blocks.hold(e);
      book_->held_bytes += e->whole;
      ++book_->held_blocks;
      return {};
    }
  }
  return judge_stranger(p);
}

misuse inspected_blocks::told(const finding& wrong, const void* p, std::size_t bytes,
                              std::size_t alignment) const noexcept {
  return {.layer = name_,
          .sentence = describe(wrong.kind),
          .pointer = p,
          .bytes = bytes,
          .alignment = alignment,
          .detail = wrong.kind == misuse_kind::elsewhere ? wrong.other.data() : nullptr};
}

void inspected_blocks::resize(const void* p, std::size_t bytes, std::size_t room_bytes) noexcept {
  const mem::lock held(book_->lock);
  mem::book_entry* const e = book_->blocks.find(mem::address(p));
  if (e == nullptr) return;
  const std::size_t old = e->bytes;
  if (bytes < old) {
    mem::hide(mem::at<std::byte>(p, static_cast<std::ptrdiff_t>(bytes)), old - bytes);
  } else {
    mem::show(mem::at<std::byte>(p, static_cast<std::ptrdiff_t>(old)), bytes - old);
  }
  e->bytes = bytes;
  book_->rooms += room_bytes - e->whole;
  e->whole = room_bytes;
  book_->figures.resized(old, bytes);
}

void inspected_blocks::move(const void* from, void* to) noexcept {
  const mem::lock held(book_->lock);
  mem::book_entry* const e = book_->blocks.find(mem::address(from));
  if (e == nullptr) return;
  mem::hide(from, e->bytes);
  mem::show_as_is(to, e->bytes);
  book_->blocks.move(e, mem::address(to));
}

bool inspected_blocks::is_live(const void* p) const noexcept {
  if (book_ == nullptr) return !mem::inspected();  // without a book nothing was ever handed out
  const mem::lock held(book_->lock);
  const mem::book_entry* const e = book_->blocks.find(mem::address(p));
  return e != nullptr && e->state == mem::book_state::live;
}

std::size_t inspected_blocks::bytes_at(const void* p) const noexcept {
  if (book_ == nullptr) return 0;
  const mem::lock held(book_->lock);
  const mem::book_entry* const e = book_->blocks.find(mem::address(p));
  return e != nullptr && e->state == mem::book_state::live ? e->bytes : 0;
}

std::size_t inspected_blocks::alignment_at(const void* p) const noexcept {
  if (book_ == nullptr) return any_alignment;
  const mem::lock held(book_->lock);
  const mem::book_entry* const e = book_->blocks.find(mem::address(p));
  return e != nullptr ? e->alignment : any_alignment;
}

// What begins elsewhere is told first: in a stack, a block of an upper keeper lies inside one of a lower.
finding inspected_blocks::judge_stranger(const void* p) const noexcept {
  if (finding found = inspected_list::instance().find(book_, p, false); found) return found;
  finding found;
  if (book_ != nullptr) {
    const mem::lock held(book_->lock);
    const mem::book_entry* const e = book_->blocks.find_inside(mem::address(p));
    if (e != nullptr) found.kind = misuse_kind::inside;
  }
  if (!found) found = inspected_list::instance().find(book_, p, true);
  if (!found) found.kind = misuse_kind::foreign;
  return found;
}

inspected_blocks::room inspected_blocks::next_due(std::size_t more_than) noexcept {
  if (book_ == nullptr) return {};
  const mem::lock held(book_->lock);
  mem::book_entry* const oldest = book_->blocks.oldest_held();
  if (oldest == nullptr || (book_->held_bytes <= more_than && more_than != 0 && book_->held_blocks <= most_blocks)) {
    return {};
  }
  const room due{.start = start_of(oldest),
                 .bytes = oldest->whole,
                 .alignment = alignment_of_room(oldest->front, oldest->alignment),
                 .front = oldest->front};
  book_->held_bytes -= oldest->whole;
  book_->rooms -= oldest->whole;
  --book_->held_blocks;
  book_->blocks.dismiss(oldest);
  return due;
}

std::size_t inspected_blocks::waiting() const noexcept {
  if (book_ == nullptr) return 0;
  const mem::lock held(book_->lock);
  return book_->held_blocks;
}

inspected_blocks::known inspected_blocks::look_up(const void* p) const noexcept {
  if (book_ == nullptr) return {};
  const mem::lock held(book_->lock);
  const mem::book_entry* const e = book_->blocks.find(mem::address(p));
  if (e == nullptr) return {};
  return {
      .start = start_of(e), .bytes = e->bytes, .alignment = e->alignment, .live = e->state == mem::book_state::live};
}

statistics inspected_blocks::over(const statistics& of_rooms) const noexcept {
  if (book_ == nullptr) return of_rooms;
  const mem::lock held(book_->lock);
  const statistics counted = book_->figures.figures();
  statistics figures = of_rooms;
  figures.live = of_rooms.live - book_->rooms + counted.live;
  figures.live_blocks = of_rooms.live_blocks - book_->held_blocks;
  book_->peak = std::max({book_->peak, counted.peak, figures.live});
  figures.peak = book_->peak;
  figures.kept = of_rooms.kept + book_->held_bytes;
  figures.overhead = figures.upstream - figures.live - figures.kept;
  return figures;
}

void inspected_blocks::forget_all() noexcept {
  if (book_ == nullptr) return;
  const mem::lock held(book_->lock);
  book_->blocks.visit([&](mem::book_entry* e) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (e->state == mem::book_state::live) book_->blocks.leave(e);
    if (e->state == mem::book_state::leaving || e->state == mem::book_state::held) book_->blocks.dismiss(e);
  });
  book_->figures.released();
  book_->rooms = book_->held_bytes = book_->held_blocks = 0;
}

}  // namespace strata::pmr
