// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>

#include "absl/base/thread_annotations.h"

module strata.pmr:grounds.impl;

import :finding;
import :grounds;
import :misuse;

import strata.mem;

namespace strata::pmr {

// All of the process, by the hash of their starts, the one that came last first: of those that begin together the innermost.
// Never destroyed: static objects may be keepers.
//
// A ground is added before anything of it is handed out, and removed before it goes back; so whoever has a block finds
// what concerns it, and the counts by hash, read without the lock, are right for him.
class ground_table {
 public:
  static ground_table& instance() noexcept {
    alignas(ground_table) static std::byte place[sizeof(ground_table)];
    static ground_table* const made = ::new (place) ground_table;
    return *made;
  }

  void add(grounds* owner, std::uintptr_t start, std::size_t bytes) noexcept {
    const mem::lock held(lock_);
    ground* const g = blank();
    if (g == nullptr) return is_whole_.store(false, std::memory_order_relaxed);
    ground*& first = by_start_[bucket(start)];
    *g = {.next = first, .owner = owner, .start = start, .bytes = bytes};
    first = g;
    ++owner->count_;
    starts_.add(start);
  }

  void remove(grounds* owner, std::uintptr_t start, std::size_t bytes) noexcept {
    const mem::lock held(lock_);
    for (std::uintptr_t at = start; at - start < bytes && owner->count_ != 0;) {
      ground** const place = find(owner, at);
      if (*place == nullptr) return;
      at += (*place)->bytes;
      take_out(place);
    }
  }

  void remove_all(grounds* owner) noexcept {
    const mem::lock held(lock_);
    if (owner->count_ == 0) return;
    for (ground*& first : by_start_) {
      for (ground** place = &first; *place != nullptr && owner->count_ != 0;) {
        (*place)->owner == owner ? take_out(place) : void(place = &(*place)->next);
      }
    }
  }

  [[nodiscard]] bool may_begin(std::uintptr_t at) const noexcept { return starts_.may_hold(at); }

  [[nodiscard]] bool begins(const grounds* owner, std::uintptr_t at) noexcept {
    if (!is_whole_.load(std::memory_order_relaxed)) return true;
    const mem::lock held(lock_);
    return *find(owner, at) != nullptr;
  }

  [[nodiscard]] bool begins_elsewhere(const grounds* owner, std::uintptr_t at) noexcept {
    const mem::lock held(lock_);
    const ground* g = by_start_[bucket(at)];
    while (g != nullptr && g->start != at) g = g->next;
    return g != nullptr && g->owner != owner;
  }

  [[nodiscard]] finding whose(const grounds* asking, std::uintptr_t at) noexcept {
    const mem::lock held(lock_);
    const ground* smallest = nullptr;
    for (const ground* first : by_start_) {
      for (const ground* g = first; g != nullptr; g = g->next) {
        if (at - g->start < g->bytes && (smallest == nullptr || g->bytes < smallest->bytes)) smallest = g;
      }
    }
    finding found;
    if (smallest == nullptr || smallest->owner == asking) return found;
    found.kind = misuse_kind::elsewhere;
    std::strncpy(found.other.data(), smallest->owner->name_, found.other.size() - 1);
    return found;
  }

 private:
  struct ground {
    ground* next;  ///< of the same hash, or blank
    grounds* owner;
    std::uintptr_t start;
    std::size_t bytes;
  };
  static constexpr unsigned bits = mem::checked ? 16 : 1;
  static constexpr std::size_t at_hand = mem::checked ? 2048 : 1;
  static constexpr std::size_t more_bytes = std::size_t{256} << 10;  ///< asked of the OS when these are used up

  ground_table() noexcept {
    for (ground& g : first_) put_blank(&g);
  }

  [[nodiscard]] static std::size_t bucket(std::uintptr_t start) noexcept {
    const std::uint64_t product = std::uint64_t{start} * 0x9E37'79B9'7F4A'7C15U;  // Fibonacci hashing (Knuth)
    return static_cast<std::size_t>(product >> (64 - bits));
  }
  [[nodiscard]] ground** find(const grounds* owner, std::uintptr_t start) noexcept
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_) {
    ground** place = &by_start_[bucket(start)];
    while (*place != nullptr && ((*place)->start != start || (*place)->owner != owner)) place = &(*place)->next;
    return place;
  }
  void take_out(ground** place) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_) {
    ground* const gone = *place;
    *place = gone->next;
    --gone->owner->count_;
    starts_.remove(gone->start);
    put_blank(gone);
  }
  void put_blank(ground* g) noexcept ABSL_NO_THREAD_SAFETY_ANALYSIS {
    g->next = blank_;
    blank_ = g;
  }
  [[nodiscard]] ground* blank() noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(lock_) {
    if (blank_ == nullptr) {
      const mem::page_run more = mem::map_run(more_bytes, mem::page_bytes(), {.label = "strata: grounds"}).run;
      for (std::size_t at = 0; at + sizeof(ground) <= more.bytes; at += sizeof(ground)) {
        put_blank(::new (static_cast<std::byte*>(more.base) + at) ground{});
      }
    }
    ground* const g = blank_;
    if (g != nullptr) blank_ = g->next;
    return g;
  }

  mem::mutex lock_{mem::lock_rank::grounds, "of what keepers have of upstream"};
  std::array<ground, at_hand> first_{};
  ground* blank_ ABSL_GUARDED_BY(lock_) = nullptr;
  std::array<ground*, std::size_t{1} << bits> by_start_ ABSL_GUARDED_BY(lock_){};
  mem::address_outline starts_;       ///< written under the lock
  std::atomic<bool> is_whole_{true};  ///< false: some could not be added
};

void grounds::prepare() noexcept { (void)ground_table::instance(); }

void grounds::enter(const void* start, std::size_t bytes) noexcept {
  if (!mem::inspected()) ground_table::instance().add(this, mem::address(start), bytes);
}

void grounds::leave(const void* start, std::size_t bytes) noexcept {
  if (!mem::inspected()) ground_table::instance().remove(this, mem::address(start), bytes);
}

void grounds::leave_all() noexcept {
  if (!mem::inspected()) ground_table::instance().remove_all(this);
}

bool grounds::begins(const void* p) const noexcept {
  return !mem::checked || mem::inspected() || ground_table::instance().begins(this, mem::address(p));
}

bool grounds::may_begin(const void* p) noexcept { return ground_table::instance().may_begin(mem::address(p)); }

bool grounds::begins_elsewhere(const void* p) const noexcept {
  return ground_table::instance().begins_elsewhere(this, mem::address(p));
}

finding grounds::whose(const void* p) const noexcept {
  if (!mem::checked || mem::inspected()) return {};
  return ground_table::instance().whose(this, mem::address(p));
}

void grounds::report(const misuse& what) const noexcept {
  const finding other = whose(what.pointer);
  if (!other) return report_misuse(what);
  misuse told = what;
  told.sentence = describe(other.kind);
  told.detail = other.other.data();
  report_misuse(told);
}

}  // namespace strata::pmr
