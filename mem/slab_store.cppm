// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <atomic>
#include <cstddef>

#include "absl/base/thread_annotations.h"

export module strata.mem:slab_store;

import :mutex;
import :size_class;
import :slab;
import :small_mutex;

import strata.platform;

/// All slabs of one resource: where free slots that no thread has in its cache are kept, by class.
///
/// Slots move in batches. take() fills them from one slab after the other, lowest address first; put() returns each to
/// its slab. A slab whose slots are all free goes back to its span at once, unless it is the last one its class could
/// take from; another class may then have its units. Spans are asked for and given back by the layer above, outside
/// every lock.
///
/// The bits catch a slot put back twice and a slot of another class; not before it comes back, though.
///
/// Locks: one a class, and one for the spans, which is taken last. A fork takes them all. Any thread; nothing throws or
/// allocates.
export namespace strata::mem {

struct slab_counters {
  std::size_t span_bytes = 0;  ///< in spans
  std::size_t slot_bytes = 0;  ///< in slots that were taken and not put back
  std::size_t slots = 0;       ///< count of those
  std::size_t slabs = 0;       ///< count
};

class slab_store {
 public:
  slab_store() noexcept;
  ~slab_store();
  slab_store(const slab_store&) = delete;
  slab_store& operator=(const slab_store&) = delete;

  /// Moves up to `wanted` slots of class `c` to `out`, in falling addresses slab by slab. Returns how many: 0 only when
  /// a span is needed.
  std::size_t take(std::size_t c, void** out, std::size_t wanted) noexcept;

  /// A slot put() would not take, and why.
  struct refused {
    slab_fault fault = slab_fault::none;
    const void* slot = nullptr;
  };

  /// Takes `count` slots of class `c` back. What is not such a slot, or is free already, is left out; the first of
  /// those is returned.
  refused put(std::size_t c, void* const* slots, std::size_t count) noexcept;

  /// Takes memory into use. Pre: span_bytes long, aligned to span_bytes.
  void add_span(void* memory) noexcept;

  /// Forgets a span without slabs and returns it, if more than `keep` bytes of spans have none; else null.
  void* remove_empty_span(std::size_t keep) noexcept;

  /// Whether remove_empty_span(keep) would find one. Looks without a lock, so the answer may be old.
  [[nodiscard]] inline bool has_excess(std::size_t keep) const noexcept {
    return empty_spans_.load(std::memory_order_relaxed) * span_bytes > keep;
  }

  /// Gives slabs without used slots back to their spans, also those classes hold on to.
  void drop_empty_slabs() noexcept;

  /// Forgets every span and returns them, linked by span::next. Pre: no other call is under way.
  span* clear() noexcept;

  [[nodiscard]] slab_counters counters() const noexcept;

  /// Verifies slabs, lists and counters against one another. Null when all is well, else what is wrong.
  [[nodiscard]] const char* check() const noexcept;

 private:
  struct class_store {
    mutable small_mutex lock;
    slab* current ABSL_GUARDED_BY(lock) = nullptr;  ///< taken from first; in no list
    slab* listed ABSL_GUARDED_BY(lock) = nullptr;   ///< slabs with an eighth free or more, last in first out
    std::size_t taken ABSL_GUARDED_BY(lock) = 0;    ///< slots out
    std::size_t slabs ABSL_GUARDED_BY(lock) = 0;
  };

  static void lock_classes(void* store) noexcept;
  static void unlock_classes(void* store) noexcept;
  [[nodiscard]] slab* make_slab(std::size_t c) noexcept;
  [[nodiscard]] span*& list_of(const span* s) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(span_lock_);
  [[nodiscard]] slab* next_slab(class_store& store, std::size_t c) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(store.lock);
  void settle(class_store& store, slab* s) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(store.lock);
  void unmake(class_store& store, slab* s) noexcept ABSL_EXCLUSIVE_LOCKS_REQUIRED(store.lock);

  mutable mutex span_lock_;
  span* empty_ ABSL_GUARDED_BY(span_lock_) = nullptr;    ///< no unit in use
  span* partial_ ABSL_GUARDED_BY(span_lock_) = nullptr;  ///< some
  span* full_ ABSL_GUARDED_BY(span_lock_) = nullptr;     ///< all
  std::size_t spans_ ABSL_GUARDED_BY(span_lock_) = 0;
  std::atomic<std::size_t> empty_spans_{0};
  std::array<class_store, size_class::count> classes_;
  platform::fork_hook around_fork_;  ///< takes the locks of all classes; made after span_lock_, so before it
};

}  // namespace strata::mem
