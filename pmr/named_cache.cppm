// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <span>

export module strata.pmr:named_cache;

import :allocation_error;
import :layer;
import :ledger;
import :misuse;
import :report;

import strata.mem;

/// Items of one size, known by a name: request and recycle for any thread, without a lock.
///
/// Role           keeper: takes chunks, hands out items
/// Upstream       borrowed, never null, outlives this object; called from any thread, outside every lock; must not ask
///                this object
/// Owns           its chunks and the blocks that are no items, until destruction
/// Thread safety  every member from any thread
/// Alignment      of items `alignment`; of other blocks what upstream honours
/// Size           blocks that fit an item, in size and alignment, are items; others come from upstream, one by one
/// Complexity     O(1), however many items are free; a chunk's slots are linked when it comes
/// Overhead       4 bytes an item, what rounding a chunk to a power of two leaves; above eight chunks a table of 16 to
///                64 bytes a chunk. Other blocks: 48 bytes, or their alignment if that is more, and a lock
/// Throws         what upstream throws; allocation_error when growing failed in the thread waited for, and for what
///                cannot be; nothing has changed
/// Deallocate     noexcept; size and alignment as allocated. Twice, a pointer that is no item, another size than
///                that of a block that is none: misuse
/// Equality       identity
/// Fork           the child can allocate and deallocate at once; items that other threads had in hand stay out
/// Exit           destruction gives everything back, live or not; live_at_end says whether those are misuse
/// Signals        not for signal handlers
/// Composes       above a thread-safe layer
///
/// Growth: one chunk at a time. When threads find no free item, one asks upstream, once, holding no lock; the others
/// wait for it and share what comes of it, failure included. Chunks are kept to the end.
export namespace strata::pmr {

template <class Upstream>
class named_cache;

/// A named_cache in a stack.
struct cache {
  template <class Upstream>
  using layer_over = named_cache<Upstream>;

  const char* name = "cache";                         ///< in reports and errors; outlives the layer
  std::size_t item_bytes = 64;                        ///< bytes of an item
  std::size_t alignment = alignof(std::max_align_t);  ///< of every item; a power of two
  std::size_t chunk_bytes = std::size_t{64} << 10;    ///< asked of upstream at a time, at least; up to 2 GiB
  std::uint32_t min_items = 8;                        ///< items in a chunk, at least
  bool live_at_end_is_misuse = false;                 ///< report items that are alive at destruction
};

template <class Upstream = std::pmr::memory_resource>
class named_cache : public direct_layer<named_cache<Upstream>> {
  using base = direct_layer<named_cache<Upstream>>;

 public:
  using upstream_type = Upstream;
  static constexpr bool thread_safe = true;
  static constexpr std::size_t max_alignment = max_alignment_of<Upstream>;
  static constexpr bool zeroed = false;
  static constexpr bool can_release = false;

  static_assert(is_thread_safe_or_unknown<Upstream>,
                "strata::pmr::named_cache: any thread may ask upstream; put synchronized{} between");

  explicit named_cache(Upstream* upstream, cache options = {}) noexcept
      : base(options.name, upstream),
        upstream_(upstream),
        options_(options),
        slots_(mem::slot_shape::of(options.item_bytes, options.alignment, options.chunk_bytes, options.min_items)) {}
  ~named_cache() override;

  /// An item's bytes. Never null.
  [[nodiscard]] inline void* request() {
    void* const p = slots_.take();
    return p != nullptr ? p : request_grown();
  }

  /// Takes an item back; null is fine.
  inline void recycle(void* p) noexcept {
    if (p == nullptr) return;
    if (const mem::slot_fault fault = slots_.put(p); fault != mem::slot_fault::none) [[unlikely]] {
      report(fault, p);
    }
  }

  /// Room for `n` adjacent items, item_stride() bytes apart. One is an item as any; more are a block of upstream's.
  [[nodiscard]] void* alloc_array(std::size_t n);
  /// Takes back what alloc_array(n) returned; null is fine.
  void free_array(void* p, std::size_t n) noexcept;

  /// Makes `n` more items ready, at least; what was got before upstream failed stays.
  void expand(std::size_t n);

  /// Whether `p` points to an item that is out.
  [[nodiscard]] bool is_live(const void* p) const noexcept { return slots_.inspect(p) == mem::slot_fault::none; }

  [[nodiscard]] std::size_t item_bytes() const noexcept { return options_.item_bytes; }
  /// Distance of adjacent items, bytes.
  [[nodiscard]] std::size_t item_stride() const noexcept { return slots_.shape().slot_bytes; }
  /// Asked of upstream for a chunk, bytes.
  [[nodiscard]] std::size_t chunk_bytes() const noexcept { return slots_.shape().chunk_bytes; }
  [[nodiscard]] std::size_t items_per_chunk() const noexcept { return slots_.shape().slots; }
  /// Threads that wait for another to get a chunk.
  [[nodiscard]] std::size_t waiting() const noexcept { return growth_.waiting(); }

  [[nodiscard]] statistics stats() const noexcept override;
  [[nodiscard]] fault check() const noexcept override;
  [[nodiscard]] std::size_t degraded(std::span<degradation> out) const noexcept override;

 protected:
  /// What recycle(p) would find.
  [[nodiscard]] mem::slot_fault inspect(const void* p) const noexcept { return slots_.inspect(p); }
  /// Says what is wrong with `p`.
  void report(mem::slot_fault fault, const void* p) const noexcept;

 private:
  friend base;

  static constexpr const char* others_growth = "the thread that was to get a chunk for all who waited got none";

  [[nodiscard]] inline bool fits(std::size_t bytes, std::size_t alignment) const noexcept {
    return bytes <= options_.item_bytes && alignment <= options_.alignment;
  }

  [[nodiscard]] inline void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    if (!fits(bytes, alignment)) [[unlikely]] {
      return allocate_other(bytes, alignment);
    }
    void* const p = request();
    if (bytes != options_.item_bytes) unused_.fetch_add(options_.item_bytes - bytes, std::memory_order_relaxed);
    return p;
  }

  inline void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    if (!fits(bytes, alignment)) [[unlikely]] {
      return deallocate_other(p, bytes);
    }
    const mem::slot_fault fault = slots_.put(p);
    if (fault != mem::slot_fault::none) [[unlikely]] {
      return report(fault, p);
    }
    if (bytes != options_.item_bytes) unused_.fetch_sub(options_.item_bytes - bytes, std::memory_order_relaxed);
  }

  [[nodiscard, gnu::noinline]] void* request_grown();
  [[nodiscard]] bool array_bytes(std::size_t n, std::size_t& bytes) const noexcept;
  void* grow(bool take_one);
  [[nodiscard, gnu::noinline]] void* allocate_other(std::size_t bytes, std::size_t alignment);
  [[gnu::noinline]] void deallocate_other(void* p, std::size_t bytes) noexcept;
  void give_back(const mem::owned_block& block) noexcept;
  void report_size(const void* p, std::size_t bytes) const noexcept;

  Upstream* const upstream_;
  const cache options_;
  mem::slot_pool slots_;
  mem::growth growth_;                  ///< who adds to slots_
  mem::owned_blocks other_blocks_;      ///< blocks that are no items
  shared_ledger others_;                ///< the same, as asked for
  std::atomic<std::size_t> unused_{0};  ///< bytes of live items that were not asked for
  std::atomic<std::size_t> failures_{0};
};

template <class Upstream>
named_cache(Upstream*) -> named_cache<Upstream>;
template <class Upstream>
named_cache(Upstream*, cache) -> named_cache<Upstream>;

template <class Upstream>
named_cache<Upstream>::~named_cache() {
  if (options_.live_at_end_is_misuse && slots_.count().out != 0) {
    report_misuse({.layer = this->name(), .sentence = "destroyed with live items: their chunks are gone"});
  }
  for (const mem::owned_block* b = other_blocks_.clear(); b != nullptr;) {
    const mem::owned_block* const next = b->next;  // read before the block is gone
    give_back(*b);
    b = next;
  }
  while (void* const chunk = slots_.remove_chunk()) upstream_->deallocate(chunk, chunk_bytes(), chunk_bytes());
  for (auto t = slots_.chunks().remove_table(); t.memory != nullptr; t = slots_.chunks().remove_table()) {
    upstream_->deallocate(t.memory, t.bytes);
  }
}

template <class Upstream>
void* named_cache<Upstream>::request_grown() {
  for (;;) {
    const mem::growth::moment seen = growth_.now();
    if (void* const p = slots_.take(); p != nullptr) return p;
    if (mem::growth::under_way(seen)) {
      if (growth_.wait(seen)) continue;
      failures_.fetch_add(1, std::memory_order_relaxed);
      throw allocation_error(this->name(), item_bytes(), options_.alignment, others_growth);
    } else if (growth_.begin(seen)) {
      return grow(true);
    }
  }
}

// Upstream first, books second: who waits is woken when either is done.
template <class Upstream>
void* named_cache<Upstream>::grow(bool take_one) {
  void* chunk = nullptr;
  try {
    if (!slots_.may_add()) {
      throw allocation_error(this->name(), item_bytes(), options_.alignment, "no pool can hold such items, or so many");
    }
    chunk = upstream_->allocate(chunk_bytes(), chunk_bytes());
    if (const std::size_t table = slots_.chunks().wanted(); table != 0) {
      slots_.chunks().grow(upstream_->allocate(table), table);
    }
  } catch (...) {
    if (chunk != nullptr) upstream_->deallocate(chunk, chunk_bytes(), chunk_bytes());
    if (take_one) failures_.fetch_add(1, std::memory_order_relaxed);
    growth_.end(false);
    throw;
  }
  void* const p = slots_.add(chunk, take_one);
  growth_.end(true);
  return p;
}

template <class Upstream>
void named_cache<Upstream>::expand(std::size_t n) {
  for (std::size_t added = 0; added < n;) {
    const mem::growth::moment seen = growth_.now();
    if (mem::growth::under_way(seen)) {
      if (!growth_.wait(seen)) throw allocation_error(this->name(), item_bytes(), options_.alignment, others_growth);
    } else if (growth_.begin(seen)) {
      grow(false);
      added += items_per_chunk();
    }
  }
}

template <class Upstream>
bool named_cache<Upstream>::array_bytes(std::size_t n, std::size_t& bytes) const noexcept {
  return mem::checked_multiply(n, item_stride(), bytes) && bytes <= mem::max_object && items_per_chunk() != 0;
}

template <class Upstream>
void* named_cache<Upstream>::alloc_array(std::size_t n) {
  if (n == 1) return request();
  std::size_t bytes = 0;
  if (!array_bytes(n, bytes)) {
    failures_.fetch_add(1, std::memory_order_relaxed);
    throw allocation_error(this->name(), mem::max_object, options_.alignment, "no machine has room for so many items");
  }
  return allocate_other(bytes, options_.alignment);
}

template <class Upstream>
void named_cache<Upstream>::free_array(void* p, std::size_t n) noexcept {
  if (p == nullptr) return;
  // One that lies in a chunk is an item, one that does not is none.
  const bool is_item = slots_.chunks().find(p) != mem::chunk_table::none;
  std::size_t bytes = mem::max_object;
  if (is_item && n == 1) return recycle(p);
  if (is_item || n == 1 || !array_bytes(n, bytes)) return report_size(p, bytes);
  deallocate_other(p, bytes);
}

template <class Upstream>
void* named_cache<Upstream>::allocate_other(std::size_t bytes, std::size_t alignment) {
  const std::size_t whole = mem::owned_blocks::whole(bytes, alignment);
  try {
    if (whole == 0) throw allocation_error(this->name(), bytes, alignment, "no machine has so much memory");
    void* const base = upstream_->allocate(whole, mem::owned_blocks::whole_alignment(alignment));
    others_.handed_out(bytes);
    return other_blocks_.add(base, bytes, alignment);
  } catch (...) {
    failures_.fetch_add(1, std::memory_order_relaxed);
    throw;
  }
}

template <class Upstream>
void named_cache<Upstream>::deallocate_other(void* p, std::size_t bytes) noexcept {
  const mem::owned_block* const b = other_blocks_.remove(p, bytes);
  if (b == nullptr) return report_size(p, bytes);
  others_.taken_back(bytes);
  give_back(*b);
}

// The record lies in what goes: all of it is read before the call.
template <class Upstream>
void named_cache<Upstream>::give_back(const mem::owned_block& block) noexcept {
  upstream_->deallocate(block.base, block.bytes, block.alignment);
}

template <class Upstream>
void named_cache<Upstream>::report_size(const void* p, std::size_t bytes) const noexcept {
  report_misuse({.layer = this->name(),
                 .sentence = "a block or an array comes back with another size than it has",
                 .pointer = p,
                 .bytes = bytes,
                 .alignment = options_.alignment});
}

template <class Upstream>
statistics named_cache<Upstream>::stats() const noexcept {
  const mem::slot_pool::figures items = slots_.count();
  const std::size_t unused = unused_.load(std::memory_order_relaxed);
  statistics figures = others_.figures();
  figures.upstream = other_blocks_.bytes() + slots_.chunks().count() * chunk_bytes() + slots_.chunks().table_bytes();
  figures.kept = (items.slots - items.out) * item_stride();
  figures.live += items.out * item_bytes() - unused;
  figures.peak += items.peak * item_bytes();
  figures.overhead = figures.upstream - figures.live - figures.kept;
  figures.live_blocks += items.out;
  figures.allocations += items.taken;
  figures.failures = failures_.load(std::memory_order_relaxed);
  return figures;
}

template <class Upstream>
fault named_cache<Upstream>::check() const noexcept {
  if (const char* const wrong = slots_.check(); wrong != nullptr) return {wrong, nullptr};
  return base::check();
}

template <class Upstream>
std::size_t named_cache<Upstream>::degraded(std::span<degradation> out) const noexcept {
  if (!growth_.unknown_to_fork().failed()) return 0;
  if (!out.empty()) {
    out[0] = {"growing is not known to fork(): a child forked meanwhile may hang; do not fork",
              growth_.unknown_to_fork(), 1};
  }
  return 1;
}

template <class Upstream>
void named_cache<Upstream>::report(mem::slot_fault fault, const void* p) const noexcept {
  report_misuse({.layer = this->name(),
                 .sentence = mem::describe(fault),
                 .pointer = p,
                 .bytes = item_bytes(),
                 .alignment = options_.alignment});
}

static_assert(layered<named_cache<>>);

}  // namespace strata::pmr
