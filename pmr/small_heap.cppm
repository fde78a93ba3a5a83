// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <new>

export module strata.pmr:small_heap;

import :fragment_resource;
import :report;

import strata.mem;

/// Small blocks out of pages of fragments: best fit, joined at once when freed, empty pages given back.
///
/// Several heaps, so that threads seldom meet at a lock; each has pages of its own, which bear its tag: so a block's heap
/// follows from whose page it lies in, not from who frees it. The heaps lie in fragments themselves.
///
/// Best fit is exact for free blocks below 1 KiB, and within 1/32 beyond; every operation is O(1) (mem:boundary_heap).
/// Each heap keeps one empty page, the others go back at once; with a decay that one, too, when nobody needed it for so long:
/// at tick(), and when a page comes or becomes empty. A request that finds no page asks the other heaps before it
/// gives up. Any thread.
export namespace strata::pmr {

template <class Upstream>
class small_heap {
 public:
  using fragments_type = fragment_resource<Upstream>;

  /// Pages of heap i bear the tag first_tag + i, the heaps themselves `books_tag`. Throws what the fragments throw.
  small_heap(fragments_type* from, std::size_t heaps, fragment_tag first_tag, fragment_tag books_tag,
             mem::decay_period period = mem::decay_period(mem::no_decay));
  /// Pages go with the fragments.
  ~small_heap();
  small_heap(const small_heap&) = delete;
  small_heap& operator=(const small_heap&) = delete;

  struct outcome {
    void* block = nullptr;
    const char* reason = nullptr;  ///< why there is none
  };
  /// Pre: bytes far below a page.
  [[nodiscard]] outcome allocate(std::size_t bytes, bool critical);

  /// Whether pages of this tag are this heap's.
  [[nodiscard]] bool has(fragment_tag tag) const noexcept { return number_of(tag) < count_; }

  /// The next three want the page that `p` lies in. A sentence and nothing changed, or null.
  [[nodiscard]] const char* deallocate(void* p, std::size_t bytes, const fragment_owner& page) noexcept;
  /// Bytes at `p`, at least what was asked for; 0 when it is no live block.
  [[nodiscard]] std::size_t usable_size(const void* p, const fragment_owner& page) const noexcept {
    return is_in_front(p, page) ? 0 : heap_of(page).usable_size(p);
  }
  [[nodiscard]] bool resize(void* p, std::size_t bytes, const fragment_owner& page) noexcept {
    return heap_of(page).resize(p, bytes);
  }

  /// Gives empty pages back; returns their bytes.
  std::size_t trim() noexcept;
  /// Gives empty pages back that nobody needed for the decay, at `now`; returns their bytes.
  std::size_t tick(std::uint64_t now) noexcept;

  /// `upstream` counts pages and the heaps themselves. Without peak and failures.
  [[nodiscard]] statistics stats() const noexcept;
  /// What the heaps themselves take.
  [[nodiscard]] std::size_t books_bytes() const noexcept { return count_ * sizeof(mem::shared_heap); }
  /// Pages there are, and were ever taken.
  struct page_count {
    std::size_t now;
    std::size_t taken;
  };
  [[nodiscard]] page_count pages() const noexcept;
  /// A sentence and where, or null.
  [[nodiscard]] const char* check(const void*& where) const noexcept;
  [[nodiscard]] mem::os_error unknown_to_fork() const noexcept;

 private:
  [[nodiscard]] mem::shared_heap& heap_of(const fragment_owner& page) const noexcept {
    return heaps_[number_of(page.tag)];
  }
  // Below count_ only for tags of these heaps.
  [[nodiscard]] std::size_t number_of(fragment_tag tag) const noexcept {
    return static_cast<fragment_tag>(tag - first_tag_);
  }
  [[nodiscard]] std::size_t page_bytes() const noexcept { return from_->page_bytes(); }
  inline void look_if_due() noexcept {
    if (std::uint64_t now = 0; timer_.is_due(now)) tick(now);
  }
  // No block's payload starts in front of this.
  [[nodiscard]] static bool is_in_front(const void* p, const fragment_owner& page) noexcept {
    return mem::address(p) - mem::address(page.start) < sizeof(mem::region) + mem::block::overhead;
  }

  fragments_type* const from_;
  const std::size_t count_;
  const fragment_tag first_tag_;
  const fragment_tag books_tag_;
  const mem::decay_period decay_;
  mem::decay_timer<mem::threads::any> timer_{decay_};
  mem::tally<mem::threads::any> pages_taken_;
  mem::shared_heap* const heaps_;  ///< count_ of them, a power of two
};

template <class Upstream>
small_heap<Upstream>::small_heap(fragments_type* from, std::size_t heaps, fragment_tag first_tag,
                                 fragment_tag books_tag, mem::decay_period period)
    : from_(from),
      count_(heaps),
      first_tag_(first_tag),
      books_tag_(books_tag),
      decay_(period),
      heaps_(static_cast<mem::shared_heap*>(
          from->take(heaps * sizeof(mem::shared_heap), alignof(mem::shared_heap), books_tag))) {
  for (std::size_t i = 0; i < heaps; ++i) ::new (static_cast<void*>(heaps_ + i)) mem::shared_heap();
}

template <class Upstream>
small_heap<Upstream>::~small_heap() {
  for (std::size_t i = count_; i-- > 0;) heaps_[i].~shared_heap();
  from_->put(heaps_, count_ * sizeof(mem::shared_heap), alignof(mem::shared_heap), books_tag_);
}

template <class Upstream>
typename small_heap<Upstream>::outcome small_heap<Upstream>::allocate(std::size_t bytes, bool critical) {
  std::size_t mine = mem::stripe_of_this_thread() & (count_ - 1);
  void* block = nullptr;
  // One's own, or the next that nobody is busy with. If all are, one waits.
  std::size_t tried = 0;
  while (tried < count_ && !heaps_[mine ^ tried].try_allocate(bytes, block)) ++tried;
  if (tried == count_) {
    block = heaps_[mine].allocate(bytes);
  } else {
    mine ^= tried;
  }
  if (block != nullptr) return {.block = block};
  outcome result;
  const auto tag = static_cast<fragment_tag>(first_tag_ + mine);
  if (void* const page = from_->try_take(page_bytes(), page_bytes(), tag, critical, result.reason); page != nullptr) {
    pages_taken_.add(1);
    block = heaps_[mine].allocate_in(page, page_bytes(), bytes);
    look_if_due();
    return {.block = block};
  }
  for (std::size_t i = 1; i < count_; ++i) {
    block = heaps_[mine ^ i].allocate(bytes);
    if (block != nullptr) return {.block = block};
  }
  return result;
}

template <class Upstream>
const char* small_heap<Upstream>::deallocate(void* p, std::size_t bytes, const fragment_owner& page) noexcept {
  if (is_in_front(p, page)) return mem::describe(mem::heap_fault::not_a_block);
  const mem::shared_heap::freed freed = heap_of(page).deallocate(p, bytes);
  if (freed.fault != mem::heap_fault::none) return mem::describe(freed.fault);
  if (freed.too_short) return "deallocated a block with more bytes than it has";
  if (freed.surplus != nullptr) from_->put(freed.surplus, page_bytes(), page_bytes(), page.tag);
  if (freed.emptied) look_if_due();
  return nullptr;
}

template <class Upstream>
std::size_t small_heap<Upstream>::trim() noexcept {
  std::size_t freed = 0;
  for (std::size_t i = 0; i < count_; ++i) {
    while (mem::region* const page = heaps_[i].take_empty()) {
      from_->put(page, page_bytes(), page_bytes(), static_cast<fragment_tag>(first_tag_ + i));
      freed += page_bytes();
    }
  }
  return freed;
}

template <class Upstream>
std::size_t small_heap<Upstream>::tick(std::uint64_t now) noexcept {
  if (!timer_.is_on()) return 0;
  timer_.looked(now);
  std::size_t freed = 0;
  for (std::size_t i = 0; i < count_; ++i) {
    mem::region* const page = heaps_[i].take_unused(decay_, now);
    if (page == nullptr) continue;
    from_->put(page, page_bytes(), page_bytes(), static_cast<fragment_tag>(first_tag_ + i));
    freed += page_bytes();
  }
  return freed;
}

template <class Upstream>
statistics small_heap<Upstream>::stats() const noexcept {
  statistics sum;
  sum.upstream = books_bytes();
  for (std::size_t i = 0; i < count_; ++i) {
    const auto [heap, allocations] = heaps_[i].count();
    sum.upstream += heap.regions;
    sum.kept += heap.free;
    sum.live += heap.used - heap.used_blocks * mem::block::overhead;
    sum.live_blocks += heap.used_blocks;
    sum.allocations += allocations;
  }
  sum.overhead = sum.upstream - sum.kept - sum.live;
  return sum;
}

template <class Upstream>
typename small_heap<Upstream>::page_count small_heap<Upstream>::pages() const noexcept {
  return {(stats().upstream - books_bytes()) / page_bytes(), pages_taken_.get()};
}

template <class Upstream>
const char* small_heap<Upstream>::check(const void*& where) const noexcept {
  for (std::size_t i = 0; i < count_; ++i) {
    const mem::heap_report report = heaps_[i].check();
    where = report.where;
    if (report.fault != mem::heap_fault::none) return mem::describe(report.fault);
  }
  return nullptr;
}

template <class Upstream>
mem::os_error small_heap<Upstream>::unknown_to_fork() const noexcept {
  for (std::size_t i = 0; i < count_; ++i) {
    if (const mem::os_error cause = heaps_[i].unknown_to_fork(); cause.failed()) return cause;
  }
  return {};
}

}  // namespace strata::pmr
