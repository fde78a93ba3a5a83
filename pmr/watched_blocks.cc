// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <span>

#include "absl/base/thread_annotations.h"

module strata.pmr:watched_blocks.impl;

import :call_stack;
import :debug_options;
import :finding;
import :ledger;
import :report;
import :watched_blocks;

import strata.mem;

namespace strata::pmr {

// All of the process. Never destroyed: static objects may be memories.
class watch_list {
 public:
  static watch_list& instance() noexcept {
    alignas(watch_list) static std::byte place[sizeof(watch_list)];
    static watch_list* const made = ::new (place) watch_list;
    return *made;
  }

  void add(watched_blocks* w) noexcept {
    const mem::lock held(lock_);
    w->next_ = first_;
    if (first_ != nullptr) first_->prev_ = w;
    first_ = w;
  }
  void remove(watched_blocks* w) noexcept {
    const mem::lock held(lock_);
    if (w->next_ != nullptr) w->next_->prev_ = w->prev_;
    (w->prev_ != nullptr ? w->prev_->next_ : first_) = w->next_;
  }

  // Whose block begins there, or, if none does, in whose block it lies; other than `asking`.
  [[nodiscard]] finding find(const watched_blocks* asking, const void* pointer, bool inside) noexcept {
    const mem::lock held(lock_);
    for (watched_blocks* w = first_; w != nullptr; w = w->next_) {
      if (w == asking) continue;
      const mem::lock its(w->lock_);
      mem::book_entry* const e =
          inside ? w->book_.find_inside(mem::address(pointer)) : w->book_.find(mem::address(pointer));
      if (e == nullptr || e->state != mem::book_state::live) continue;
      finding found = w->about(e, {misuse_kind::elsewhere, nullptr});
      std::strncpy(found.other.data(), w->name_, found.other.size() - 1);
      return found;
    }
    return {};
  }

 private:
  watch_list() noexcept = default;

  mem::mutex lock_{mem::lock_rank::watched_list, "of all debug layers"};  // taken before those of the ones in the list
  watched_blocks* first_ ABSL_GUARDED_BY(lock_) = nullptr;
};

namespace {

constexpr std::size_t unit = 16;  ///< pads are multiples of it

// What is noted of an entry.
constexpr std::uint8_t filled_in_front = 1;  ///< with the pattern of what is unallocated
constexpr std::uint8_t told = 2;             ///< that a zero after the end was tolerated

constinit std::atomic<std::uint64_t> made{0};

std::uint64_t new_key(const void* of) noexcept {
  const std::uint64_t seed = (made.fetch_add(1, std::memory_order_relaxed) << 48U) + mem::address(of);
  return (seed ^ (seed >> 31U)) * 0xBF58'476D'1CE4'E5B9U;
}

void* block_of(const mem::book_entry* e) noexcept { return reinterpret_cast<void*>(e->block); }
std::byte* start_of(const mem::book_entry* e) noexcept { return static_cast<std::byte*>(block_of(e)) - e->front; }
std::size_t behind(const mem::book_entry* e) noexcept { return e->whole - e->front - e->bytes; }

std::uint8_t copy_stack(std::span<const void* const> stack, std::span<const void*> to) noexcept {
  const std::size_t depth = std::min(stack.size(), to.size());
  std::copy_n(stack.begin(), depth, to.begin());
  return static_cast<std::uint8_t>(depth);
}

}  // namespace

watched_blocks::watched_blocks(const debug& options) noexcept
    : name_(options.name),
      pad_(mem::round_up(options.pad, unit)),
      key_(new_key(this)),
      book_(options.stack_depth, options.max_blocks, options.remembered) {
  watch_list::instance().add(this);
}

watched_blocks::~watched_blocks() { watch_list::instance().remove(this); }

bool watched_blocks::shape_of(std::size_t bytes, std::size_t alignment, shape& out) const noexcept {
  return mem::checked_round_up(pad_, alignment, out.front) && mem::checked_add(out.front, bytes, out.whole) &&
         mem::checked_add(out.whole, pad_, out.whole) && mem::checked_round_up(out.whole, unit, out.whole) &&
         out.whole <= mem::max_object;
}

mem::block_book::promise_result watched_blocks::promise() noexcept {
  const mem::lock held(lock_);
  return book_.promise();
}

void watched_blocks::withdraw(mem::book_entry* entry) noexcept {
  const mem::lock held(lock_);
  book_.withdraw(entry);
}

void watched_blocks::note_failure() noexcept {
  const mem::lock held(lock_);
  ledger_.failed();
}

finding watched_blocks::admit(mem::book_entry* entry, const arrival& block) noexcept {
  const std::uintptr_t at = mem::address(block.start) + block.size.front;
  {
    const mem::lock held(lock_);
    mem::book_entry* const there = book_.find(at);
    if (there != nullptr && there->state != mem::book_state::gone) {
      finding twice = about(there, {misuse_kind::handed_out_twice, nullptr});
      book_.withdraw(entry);
      return twice;
    }
  }
  // Promised entries are nobody else's.
  entry->block = at;
  entry->bytes = block.bytes;
  entry->front = block.size.front;
  entry->whole = block.size.whole;
  entry->alignment = block.alignment;
  entry->number = block.number;
  entry->made_by = block.from.thread;
  entry->freed_by = 0;
  entry->freed_depth = 0;
  entry->marks = block.fill ? filled_in_front : 0;
  write_pads(entry);
  if (block.fill) mem::fill_words(block_of(entry), block.bytes, word_of(at, debug_pattern::allocated));
  const mem::lock held(lock_);
  entry->made_depth = copy_stack(block.from.stack, book_.made_at(entry));
  book_.enter(entry);
  upstream_ += block.size.whole;
  ledger_.handed_out(block.bytes);
  return {};
}

finding watched_blocks::take(const claim& of, const call_site& by, mem::book_entry*& taken, finding& aside) noexcept {
  {
    const mem::lock held(lock_);
    if (mem::book_entry* const e = book_.find(mem::address(of.pointer)); e != nullptr) {
      finding wrong = judge(e, of, aside);
      if (wrong) return wrong;
      book_.leave(e);
      e->freed_by = by.thread;
      e->freed_depth = copy_stack(by.stack, book_.freed_at(e));
      taken = e;
      return {};
    }
  }
  return judge_stranger(of.pointer);
}

void watched_blocks::put_back(mem::book_entry* taken) noexcept {
  const mem::lock held(lock_);
  taken->freed_by = 0;
  taken->freed_depth = 0;
  book_.stay(taken);
}

watched_blocks::departure watched_blocks::dismiss(mem::book_entry* taken, bool fill) noexcept {
  if (fill) mem::fill_words(block_of(taken), taken->bytes, word_of(taken->block, debug_pattern::freed));
  const departure what{start_of(taken), taken->whole, taken->alignment};
  const mem::lock held(lock_);
  ledger_.taken_back(taken->bytes);
  upstream_ -= taken->whole;
  book_.dismiss(taken);
  return what;
}

void watched_blocks::hold(mem::book_entry* taken) noexcept {
  mem::fill_words(block_of(taken), taken->bytes, word_of(taken->block, debug_pattern::freed));
  const mem::lock held(lock_);
  ledger_.taken_back(taken->bytes);
  held_ += taken->whole;
  book_.hold(taken);
}

finding watched_blocks::release_held(std::size_t more_than, departure& out) noexcept {
  const mem::lock held(lock_);
  mem::book_entry* const oldest = book_.oldest_held();
  if (oldest == nullptr || held_ <= more_than) return {};
  if (const spot wrong = inspect(oldest, false); wrong.kind != misuse_kind::none) return about(oldest, wrong);
  out = {start_of(oldest), oldest->whole, oldest->alignment};
  held_ -= oldest->whole;
  upstream_ -= oldest->whole;
  book_.dismiss(oldest);
  return {};
}

finding watched_blocks::look(const claim& at, finding& aside) const noexcept {
  {
    const mem::lock held(lock_);
    mem::book_entry* const e = book_.find(mem::address(at.pointer));
    if (e != nullptr) return judge(e, at, aside);
  }
  return judge_stranger(at.pointer);
}

finding watched_blocks::look_at_all(bool tolerance, finding& aside) const noexcept {
  const mem::lock held(lock_);
  if (const char* const wrong = book_.check(); wrong != nullptr) {
    finding found;
    found.kind = misuse_kind::books;
    found.detail = wrong;
    return found;
  }
  finding found;
  book_.visit([&](mem::book_entry* e)
                  ABSL_NO_THREAD_SAFETY_ANALYSIS {  // under the lock: the analysis loses sight of it
                    if (found || (e->state != mem::book_state::live && e->state != mem::book_state::held)) return;
                    const spot wrong = inspect(e, tolerance);
                    if (wrong.kind != misuse_kind::none && !is_tolerated(e, wrong, aside)) found = about(e, wrong);
                  });
  return found;
}

bool watched_blocks::owns(const void* p) const noexcept {
  const mem::lock held(lock_);
  const mem::book_entry* const e = book_.find(mem::address(p));
  return e != nullptr && e->state == mem::book_state::live;
}

std::size_t watched_blocks::bytes_at(const void* p) const noexcept {
  const mem::lock held(lock_);
  const mem::book_entry* const e = book_.find(mem::address(p));
  return e != nullptr && e->state == mem::book_state::live ? e->bytes : 0;
}

std::size_t watched_blocks::live_blocks(std::span<block_copy> first) const noexcept {
  const mem::lock held(lock_);
  std::size_t count = 0;
  book_.visit([&](mem::book_entry* e) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (e->state != mem::book_state::live) return;
    if (count < first.size()) copy_entry(e, first[count]);
    ++count;
  });
  return count;
}

std::size_t watched_blocks::extent() const noexcept {
  const mem::lock held(lock_);
  return book_.extent();
}

bool watched_blocks::copy(std::size_t index, block_copy& out) const noexcept {
  const mem::lock held(lock_);
  if (index >= book_.extent()) return false;
  mem::book_entry* const e = book_.at(index);
  if (e->state != mem::book_state::live && e->state != mem::book_state::held) return false;
  copy_entry(e, out);
  return true;
}

statistics watched_blocks::figures() const noexcept {
  const mem::lock held(lock_);
  statistics figures = ledger_.figures();
  figures.kept = held_;
  figures.upstream = upstream_;
  figures.overhead = upstream_ - held_ - figures.live;
  return figures;
}

void watched_blocks::dress_all() noexcept {
  const mem::lock held(lock_);
  book_.visit([&](mem::book_entry* e) {
    if (e->state != mem::book_state::live && e->state != mem::book_state::held) return;
    e->marks &= static_cast<std::uint8_t>(~told);
    write_pads(e);
    if (e->state == mem::book_state::held) {
      mem::fill_words(block_of(e), e->bytes, word_of(e->block, debug_pattern::freed));
    }
  });
}

void watched_blocks::forget_all() noexcept {
  const mem::lock held(lock_);
  book_.visit([&](mem::book_entry* e) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (e->state == mem::book_state::live) book_.leave(e);
    if (e->state == mem::book_state::leaving || e->state == mem::book_state::held) book_.dismiss(e);
  });
  ledger_.released();
  upstream_ = held_ = 0;
}

watched_blocks::spot watched_blocks::inspect(const mem::book_entry* e, bool tolerance) const noexcept {
  const auto* const block = static_cast<const std::byte*>(block_of(e));
  if (const auto* const at = mem::find_other_pad(block - pad_, pad_, key_); at != nullptr) {
    return {misuse_kind::underrun, at};
  }
  if ((e->marks & filled_in_front) != 0) {
    const std::uint32_t word = word_of(e->block, debug_pattern::unallocated);
    const auto* const at = mem::find_other_word(start_of(e), e->front - pad_, word);
    if (at != nullptr) return {misuse_kind::underrun, at};
  }
  if (const auto* const at = mem::find_other_pad(block + e->bytes, behind(e), key_); at != nullptr) {
    const bool single_zero =
        at == block + e->bytes && *at == std::byte{0} && mem::find_other_pad(at + 1, behind(e) - 1, key_) == nullptr;
    const bool tolerable = tolerance && single_zero && e->state == mem::book_state::live;
    if (!tolerable) return {misuse_kind::overrun, at};
    return {misuse_kind::tolerated, at};
  }
  if (e->state == mem::book_state::held) {
    const auto* const at = mem::find_other_word(block, e->bytes, word_of(e->block, debug_pattern::freed));
    if (at != nullptr) return {misuse_kind::written_after_free, at};
  }
  return {};
}

void watched_blocks::write_pads(const mem::book_entry* e) const noexcept {
  auto* const block = static_cast<std::byte*>(block_of(e));
  mem::fill_pad(block - pad_, pad_, key_);
  mem::fill_pad(block + e->bytes, behind(e), key_);
  if ((e->marks & filled_in_front) != 0) {
    mem::fill_words(start_of(e), e->front - pad_, word_of(e->block, debug_pattern::unallocated));
  }
}

finding watched_blocks::judge(mem::book_entry* e, const claim& of, finding& aside) const noexcept {
  if (e->state != mem::book_state::live) return about(e, {misuse_kind::freed_twice, nullptr});
  const spot wrong = inspect(e, of.tolerance);
  if (wrong.kind != misuse_kind::none && !is_tolerated(e, wrong, aside)) return about(e, wrong);
  if (of.bytes != any && of.bytes != e->bytes) return about(e, {misuse_kind::wrong_size, nullptr});
  if (of.alignment != any && of.alignment != e->alignment) return about(e, {misuse_kind::wrong_alignment, nullptr});
  return {};
}

// Of those found together, one is told; the others are when they are found again.
bool watched_blocks::is_tolerated(mem::book_entry* e, spot what, finding& aside) const noexcept {
  if (what.kind != misuse_kind::tolerated) return false;
  if ((e->marks & told) == 0 && !aside) {
    e->marks |= told;
    aside = about(e, what);
  }
  return true;
}

finding watched_blocks::about(mem::book_entry* e, spot what) const noexcept {
  finding found;
  found.kind = what.kind;
  found.where = what.where;
  found.knows_block = true;
  copy_entry(e, found.block);
  return found;
}

void watched_blocks::copy_entry(mem::book_entry* e, block_copy& out) const noexcept {
  out.pointer = block_of(e);
  out.bytes = e->bytes;
  out.alignment = e->alignment;
  out.number = e->number;
  out.made_by = e->made_by;
  out.freed_by = e->freed_by;
  out.made_depth = e->made_depth;
  out.freed_depth = e->freed_depth;
  out.state = e->state;
  std::ranges::copy(book_.made_at(e).first(e->made_depth), out.made_at.begin());
  std::ranges::copy(book_.freed_at(e).first(e->freed_depth), out.freed_at.begin());
}

// A pointer at which no block of this memory begins or began. What begins elsewhere is told first: in a stack, a block of
// an upper memory lies inside one of a lower.
finding watched_blocks::judge_stranger(const void* pointer) const noexcept {
  if (finding found = watch_list::instance().find(this, pointer, false); found) return found;
  {
    const mem::lock held(lock_);
    mem::book_entry* const e = book_.find_inside(mem::address(pointer));
    if (e != nullptr) return about(e, {misuse_kind::inside, pointer});
  }
  if (finding found = watch_list::instance().find(this, pointer, true); found) return found;
  finding found;
  found.kind = misuse_kind::foreign;
  return found;
}

}  // namespace strata::pmr
