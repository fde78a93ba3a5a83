// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdlib>
#include <limits>
#include <memory_resource>
#include <mutex>
#include <new>
#include <thread>

namespace strata::test {

/// What is wrong with a planted_resource. `none` is the control: sound in every respect.
enum class plant : unsigned char {
  none,
  ignores_alignment,       ///< no more than 16
  wraps_sizes,             ///< adds its header without looking
  equals_all,              ///< says true to anybody
  leaks_at_destruction,    ///< forgets one live block
  leaks_at_release,        ///< likewise, in release()
  misstates_size,          ///< gives blocks back to upstream 8 bytes short
  misstates_alignment,     ///< gives blocks back to upstream as 8-aligned
  overlaps_blocks,         ///< every so often hands out a live block once more
  loses_contents,          ///< writes into a live block when another is freed
  writes_past_its_blocks,  ///< one byte behind what upstream gave
  uses_default_resource,   ///< takes a note there
  uses_operator_new,       ///< likewise with new
  uses_malloc,             ///< likewise with malloc

  leaks_when_refused,          ///< keeps a first part when upstream refuses the second
  loses_a_block_when_refused,  ///< forgets a live block when upstream refuses
  gives_null_for_nothing,      ///< null for zero bytes
  shares_zero_bytes,           ///< one address for all zero-byte blocks
  swallows_exception,          ///< throws std::bad_alloc whatever upstream threw
  throws_something_else,       ///< throws an int when upstream refuses
  allocates_to_deallocate,     ///< asks upstream for a moment's memory
  breaks_after_release,        ///< refuses everything then
  breaks_after_refusal,        ///< refuses everything after upstream refused once
};

/// A pool that takes each block from upstream with a header before it, and keeps its blocks in a list, so that
/// destruction and release() can return them. One fault can be planted.
///
///     upstream's block:  [ unused … ][ header ][ block, aligned ]
template <plant Fault>
class planted_resource final : public std::pmr::memory_resource {
 public:
  explicit planted_resource(std::pmr::memory_resource* upstream) : upstream_(upstream) {}
  ~planted_resource() override { return_all(Fault == plant::leaks_at_destruction); }
  planted_resource(const planted_resource&) = delete;
  planted_resource& operator=(const planted_resource&) = delete;

  void release() {
    const std::lock_guard lock(mutex_);
    return_all(Fault == plant::leaks_at_release);
    broken_ = Fault == plant::breaks_after_release;
  }

 private:
  struct header {
    header* previous;
    header* next;
    std::byte* start;  // of upstream's block
    std::size_t bytes;
    std::size_t alignment;
  };

  static header* header_of(void* block) { return static_cast<header*>(block) - 1; }
  static void* block_of(header* h) { return h + 1; }

  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    if (Fault == plant::gives_null_for_nothing && bytes == 0) return nullptr;
    if (Fault == plant::shares_zero_bytes && bytes == 0 && alignment <= alignof(header)) return &nothing_;
    const std::lock_guard lock(mutex_);
    if (broken_) throw std::bad_alloc();
    if constexpr (Fault == plant::overlaps_blocks) {
      if (++calls_ % 16 == 0 && list_ != nullptr && list_->bytes >= bytes && bytes != 0 &&
          list_->alignment >= alignment) {
        return block_of(list_);
      }
    }
    take_notes();
    return take(bytes, Fault == plant::ignores_alignment ? std::min<std::size_t>(alignment, 16) : alignment);
  }

  void* take(std::size_t bytes, std::size_t alignment) {
    const std::size_t asked = std::max(alignment, alignof(header));
    const std::size_t lead = (sizeof(header) + asked - 1) / asked * asked;
    if (Fault != plant::wraps_sizes && bytes > std::numeric_limits<std::size_t>::max() - lead) throw std::bad_alloc();
    auto* const start = static_cast<std::byte*>(from_upstream(lead + bytes, asked));
    if constexpr (Fault == plant::writes_past_its_blocks) start[lead + bytes] = std::byte{1};
    header* const h = ::new (start + lead - sizeof(header)) header{nullptr, list_, start, bytes, asked};
    if (list_ != nullptr) list_->previous = h;
    list_ = h;
    return block_of(h);
  }

  void* from_upstream(std::size_t bytes, std::size_t alignment) {
    void* const part = Fault == plant::leaks_when_refused ? upstream_->allocate(24, 8) : nullptr;
    try {
      void* const whole = upstream_->allocate(bytes, alignment);
      if (part != nullptr) upstream_->deallocate(part, 24, 8);
      return whole;
    } catch (const std::bad_alloc&) {
      if (Fault == plant::loses_a_block_when_refused && list_ != nullptr) forget(list_);
      if (Fault == plant::breaks_after_refusal) broken_ = true;
      if (Fault == plant::swallows_exception) throw std::bad_alloc();
      if (Fault == plant::throws_something_else) throw 1;
      throw;
    }
  }

  void do_deallocate(void* block, std::size_t, std::size_t) override {
    if (block == nullptr || block == &nothing_) return;
    const std::lock_guard lock(mutex_);
    header* const h = header_of(block);
    if constexpr (Fault == plant::overlaps_blocks) {
      for (header* known = list_; known != h; known = known->next) {
        if (known == nullptr) return;  // handed out twice and freed already
      }
    }
    if (Fault == plant::allocates_to_deallocate) upstream_->deallocate(upstream_->allocate(16, 8), 16, 8);
    unlink(h);
    if (Fault == plant::loses_contents && list_ != nullptr && list_->bytes != 0) {
      std::byte& victim = *static_cast<std::byte*>(block_of(list_));
      victim = ~victim;
    }
    give_back(h);
  }

  void forget(header* h) {
    unlink(h);
    h->previous = h->next = h;
  }

  void unlink(header* h) {
    if (h->previous == h) return;  // forgotten
    (h->previous != nullptr ? h->previous->next : list_) = h->next;
    if (h->next != nullptr) h->next->previous = h->previous;
  }

  void give_back(header* h) {
    std::byte* const start = h->start;
    const auto lead = static_cast<std::size_t>(static_cast<std::byte*>(block_of(h)) - start);
    upstream_->deallocate(start, lead + h->bytes - (Fault == plant::misstates_size ? 8 : 0),
                          Fault == plant::misstates_alignment ? 8 : h->alignment);
  }

  void return_all(bool but_one) {
    if (but_one && list_ != nullptr) list_ = list_->next;
    while (list_ != nullptr) {
      header* const h = list_;
      list_ = h->next;
      give_back(h);
    }
  }

  void take_notes() {
    void* volatile note = nullptr;  // volatile: memory nobody looks at may be left out
    if constexpr (Fault == plant::uses_default_resource) {
      note = std::pmr::get_default_resource()->allocate(8, 8);
      std::pmr::get_default_resource()->deallocate(note, 8, 8);
    } else if constexpr (Fault == plant::uses_operator_new) {
      note = ::operator new(8);
      ::operator delete(note);
    } else if constexpr (Fault == plant::uses_malloc) {
      note = std::malloc(8);
      std::free(note);
    }
  }

  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
    return this == &other || Fault == plant::equals_all;
  }

  std::pmr::memory_resource* const upstream_;
  std::mutex mutex_;
  header* list_ = nullptr;  // every block, the newest first
  std::size_t calls_ = 0;
  bool broken_ = false;
  alignas(header) std::byte nothing_{};
};

/// Slots of 64 bytes from a region, handed out by a cursor that is read and written in two steps. What a scheduler
/// might do between them once a day happens here every time: the first two threads with something to write wait for each
/// other there, and both get the first slot. (Requests for nothing go on meanwhile: what they get, nobody can lose.)
class racing_resource final : public std::pmr::memory_resource {
 public:
  explicit racing_resource(std::pmr::memory_resource* upstream)
      : upstream_(upstream), region_(static_cast<std::byte*>(upstream->allocate(region_bytes, 64))) {}
  ~racing_resource() override { upstream_->deallocate(region_, region_bytes, 64); }
  racing_resource(const racing_resource&) = delete;
  racing_resource& operator=(const racing_resource&) = delete;

 private:
  static constexpr std::size_t region_bytes = std::size_t{64} << 20;

  void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    if (alignment > 64 || bytes > 4096) throw std::bad_alloc();
    if (bytes != 0 && arrived_.fetch_add(1) < 2) {
      while (arrived_.load() < 2) std::this_thread::yield();
      return region_;
    }
    const std::size_t at = cursor_.load();
    cursor_.store((at + std::max<std::size_t>(bytes, 1) + 63) / 64 * 64);
    if (cursor_.load() > region_bytes) throw std::bad_alloc();
    return region_ + at;
  }
  void do_deallocate(void*, std::size_t, std::size_t) override {}
  bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override { return this == &other; }

  std::pmr::memory_resource* const upstream_;
  std::byte* const region_;
  std::atomic<std::size_t> cursor_{64};  // behind the first slot
  std::atomic<int> arrived_{0};
};

}  // namespace strata::test
