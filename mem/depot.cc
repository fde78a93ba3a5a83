// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cstddef>
#include <new>

module strata.mem:depot.impl;

import :depot;

namespace strata::mem {

void depot::add(void* memory) noexcept {
  auto* const added = ::new (memory) piece;
  added->count = 0;
  added->below = spare_;
  spare_ = added;
  ++pieces_;
}

// A batch is not split: so pieces are filled but for less than a batch, and one spare piece always serves.
void depot::put(void* const* slots, std::size_t count) noexcept {
  if (newest_ == nullptr || piece_slots - newest_->count < count) {
    piece* const next = spare_;
    spare_ = next->below;
    next->below = newest_;
    newest_ = next;
  }
  std::copy_n(slots, count, newest_->slots + newest_->count);
  newest_->count += count;
  count_ += count;
}

std::size_t depot::take(void** out, std::size_t wanted) noexcept {
  const std::size_t total = std::min(wanted, count_);
  for (std::size_t left = total; left != 0;) {
    piece* const from = newest_;
    const std::size_t n = std::min(left, from->count);
    from->count -= n;
    left -= n;
    std::copy_n(from->slots + from->count, n, out + left);
    if (from->count == 0) {
      newest_ = from->below;
      from->below = spare_;
      spare_ = from;
    }
  }
  count_ -= total;
  return total;
}

void* depot::remove_empty(std::size_t keep) noexcept {
  piece* last = spare_;
  for (; last != nullptr && keep != 0; --keep) last = last->below;
  if (last == nullptr) return nullptr;
  piece* const removed = spare_;
  spare_ = removed->below;
  --pieces_;
  return removed;
}

bool depot::is_consistent() const noexcept {
  std::size_t slots = 0;
  std::size_t pieces = 0;
  for (const piece* p = newest_; p != nullptr; p = p->below, ++pieces) slots += p->count;
  for (const piece* p = spare_; p != nullptr; p = p->below) ++pieces;
  return slots == count_ && pieces == pieces_;
}

}  // namespace strata::mem
