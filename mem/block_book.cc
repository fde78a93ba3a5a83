// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

module strata.mem:block_book.impl;

import :address_counts;
import :block_book;
import :bytes;
import :page_run;

namespace strata::mem {

// Should the OS not take one back, it is no more than was needed.
block_book::~block_book() {
  for (std::size_t i = 0; i < chunk_count_; ++i) static_cast<void>(unmap_run(chunks_[i]));
}

void block_book::queue::push(book_entry* entry) noexcept {
  entry->next = nullptr;
  entry->prev = last;
  (last != nullptr ? last->next : first) = entry;
  last = entry;
  ++size;
}

void block_book::queue::remove(book_entry* entry) noexcept {
  (entry->next != nullptr ? entry->next->prev : last) = entry->prev;
  (entry->prev != nullptr ? entry->prev->next : first) = entry->next;
  --size;
}

os_error block_book::grow() noexcept {
  const std::size_t least = std::max(first_chunk, entry_bytes());
  const page_run_result fresh = map_run(least << chunk_count_, page_bytes(), {.label = "strata: blocks"});
  if (fresh.error.failed()) return fresh.error;
  chunks_[chunk_count_++] = fresh.run;
  capacity_ += fresh.run.bytes / entry_bytes();
  return {};
}

book_entry* block_book::at(std::size_t index) const noexcept {
  for (const page_run& chunk : chunks_) {
    const std::size_t holds = chunk.bytes / entry_bytes();
    if (index < holds) return mem::at<book_entry>(chunk.base, static_cast<std::ptrdiff_t>(index * entry_bytes()));
    index -= holds;
  }
  return nullptr;
}

block_book::promise_result block_book::promise() noexcept {
  if (kept_ == max_blocks_) return {};
  // What is remembered only for better reports gives way before anything is refused.
  if (const os_error refused = by_address_.prepare(promised_ + 1); refused.failed()) {
    if (gone_.first == nullptr) return {nullptr, refused};
    vacate(gone_.first);
    if (const os_error again = by_address_.prepare(promised_ + 1); again.failed()) return {nullptr, again};
  }
  if (vacant_ == nullptr && extent_ == capacity_) {
    const os_error refused = chunk_count_ == chunks_.size() ? os_error{} : grow();
    if (extent_ == capacity_ && gone_.first == nullptr) return {nullptr, refused};
    if (extent_ == capacity_) vacate(gone_.first);
  }
  book_entry* entry = vacant_;
  if (entry != nullptr) {
    vacant_ = entry->next;
  } else {
    entry = at(extent_++);
  }
  entry->state = book_state::promised;
  ++promised_;
  ++kept_;
  return {entry, {}};
}

void block_book::withdraw(book_entry* entry) noexcept {
  --promised_;
  --kept_;
  entry->state = book_state::vacant;
  entry->next = vacant_;
  vacant_ = entry;
}

void block_book::enter(book_entry* entry) noexcept {
  if (book_entry* const before = find(entry->block); before != nullptr) vacate(before);
  --promised_;
  entry->state = book_state::live;
  by_address_.put(entry->block, address(entry));
}

void block_book::move(book_entry* entry, std::uintptr_t to) noexcept {
  if (book_entry* const before = find(to); before != nullptr && before != entry) vacate(before);
  static_cast<void>(by_address_.take(entry->block));
  entry->block = to;
  by_address_.put(to, address(entry));
}

void block_book::leave(book_entry* entry) noexcept { entry->state = book_state::leaving; }
void block_book::stay(book_entry* entry) noexcept { entry->state = book_state::live; }

void block_book::hold(book_entry* entry) noexcept {
  entry->state = book_state::held;
  held_.push(entry);
}

void block_book::dismiss(book_entry* entry) noexcept {
  if (entry->state == book_state::held) held_.remove(entry);
  entry->state = book_state::gone;
  --kept_;
  gone_.push(entry);
  if (gone_.size > remembered_) vacate(gone_.first);
}

// Pre: gone.
void block_book::vacate(book_entry* entry) noexcept {
  gone_.remove(entry);
  static_cast<void>(by_address_.take(entry->block));
  entry->state = book_state::vacant;
  entry->next = vacant_;
  vacant_ = entry;
}

book_entry* block_book::find(std::uintptr_t block) const noexcept {
  return reinterpret_cast<book_entry*>(by_address_.count(block));
}

book_entry* block_book::find_inside(std::uintptr_t where) const noexcept {
  book_entry* found = nullptr;
  visit([&](book_entry* entry) {
    if (entry->state != book_state::live && entry->state != book_state::held) return;
    const std::uintptr_t start = entry->block - entry->front;
    if (where >= start && where - start < entry->whole) found = entry;
  });
  return found;
}

const char* block_book::check() const noexcept {
  if (!by_address_.is_sound()) return "a block is not found in the table where its address says";
  std::array<std::size_t, 6> found{};
  const char* wrong = nullptr;
  visit([&](const book_entry* entry) {
    ++found[static_cast<std::size_t>(entry->state)];
    if (entry->state != book_state::promised && find(entry->block) != entry) {
      wrong = "a block is not in the table of addresses";
    }
  });
  const auto number_of = [&found](book_state state) { return found[static_cast<std::size_t>(state)]; };
  if (wrong != nullptr) return wrong;
  if (number_of(book_state::held) != held_.size || number_of(book_state::gone) != gone_.size ||
      number_of(book_state::promised) != promised_) {
    return "blocks in the table are more or fewer than were counted";
  }
  return nullptr;
}

}  // namespace strata::mem
