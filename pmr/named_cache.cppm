// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <span>

export module strata.pmr:named_cache;

import :allocation_error;
import :cache_options;
import :grounds;
import :inspected_blocks;
import :layer;
import :misuse;
import :other_blocks;
import :report;
import :slot_supply;

import strata.mem;

/// Items of one size, known by a name: request and recycle, with a cache of free items for each thread.
///
/// Role           keeper: takes chunks, hands out items
/// Upstream       borrowed, never null, outlives this object; must not ask this object. cache{} calls it from any
///                thread, outside every lock, so it is thread safe itself
/// Owns           its chunks, the words and caches beside them, and the blocks that are no items, until release() or
///                destruction
/// Thread safety  cache{}: every member from any thread, but release() and destruction, while which no other call is
///                under way. unsynchronized_cache{}: one thread at a time; no lock, no thread_local and no atomic
///                read-modify-write
/// Alignment      of items at least `alignment`; of other blocks what upstream honours
/// Size           blocks that fit an item, in size and alignment, are items; others come from upstream, one by one
/// Complexity     O(1), however many items are free: a pop, or a look-up and a push; once in half a cache one
///                compare-and-swap for a batch; a chunk's slots are linked when it comes. trim() and check() O(items)
/// Overhead       4 bytes an item; what is left of a chunk; above eight chunks a table of 120 to 480 bytes a chunk; 1.1
///                KiB a thread and one to spare; 3 KiB in this object. Other blocks: 56 bytes, or their alignment if
///                that is more, and a lock. Inspected: 24 to 31 bytes an item or block and more where it is more
///                aligned, some 100 in a book, a lock, and 256 KiB of freed ones held back
/// Throws         what upstream throws; allocation_error when growing failed in the thread waited for, and for what
///                cannot be; nothing has changed. Constructed with options that cannot be: std::invalid_argument
/// Deallocate     noexcept; size and alignment as allocated. Twice, a pointer that is no item, another size than
///                that of a block that is none: misuse, noticed at once. Not noticed: two threads that recycle one item
///                at the very same time. In a checked build also whose a foreign block is; inspected, any other size and
///                alignment, too
/// Equality       identity
/// Fork           the child can allocate and deallocate at once; items in hand and in caches of threads it does not
///                have stay out
/// Exit           a thread's cache passes to the next thread. Destruction gives everything back, live or not;
///                live_at_end says whether those are misuse
/// Signals        not for signal handlers
/// Composes       above a thread-safe layer; unsynchronized_cache{} above any
///
/// Hysteresis: chunks are kept until trim(), which gives back those whose items are all free; items in the caches of
/// other living threads are not. Words and caches are kept until release().
///
/// Decay: with `decay_ms` chunks that nobody needed for so long go back upstream (:decay in mem/README.md says how that is
/// found): at tick(), and when a cache runs dry or over. Before, threads' caches that were not used for a quarter of that are
/// emptied, as by trim().
export namespace strata::pmr {

template <class Upstream = std::pmr::memory_resource, threads Threads = threads::any>
class named_cache : public direct_layer<named_cache<Upstream, Threads>> {
  using base = direct_layer<named_cache>;

 public:
  using upstream_type = Upstream;
  static constexpr bool thread_safe = Threads == threads::any;
  static constexpr std::size_t max_alignment = max_alignment_of<Upstream>;
  static constexpr bool zeroed = false;
  static constexpr bool can_release = true;

  static_assert(!thread_safe || is_thread_safe_or_unknown<Upstream>,
                "strata::pmr::named_cache: any thread may ask upstream; put synchronized{} between, or take "
                "unsynchronized_cache{}");

  explicit named_cache(Upstream* upstream, cache_options<Threads> options = {})
      : base(options.name, upstream),
        options_(options),
        plain_(shape_of(options)),
        grounds_(options.name),
        inspected_(options.name),
        items_(options.name, upstream, mem::inspected() ? inspected_shape() : plain_, mem::inspected(),
               mem::decay_period(options.decay_ms), &grounds_),
        others_(upstream, &grounds_) {}
  ~named_cache() override;

  /// An item's bytes. Never null.
  [[nodiscard]] inline void* request() { return take(options_.item_bytes, options_.alignment); }

  /// Takes an item back; null is fine.
  inline void recycle(void* p) noexcept {
    if (p != nullptr) take_back(p, options_.item_bytes, as_item);
  }

  /// Room for `n` adjacent items, item_stride() bytes apart. One is an item as any; more are a block of upstream's.
  [[nodiscard]] void* alloc_array(std::size_t n);
  /// Takes back what alloc_array(n) returned; null is fine.
  void free_array(void* p, std::size_t n) noexcept;

  /// Takes chunks from upstream for `n` more items, at least, whatever is free already. When upstream fails, what was
  /// got until then stays. So many chunks no decay takes, but trim() and release() do.
  void expand(std::size_t n) { items_.expand(n); }
  /// Makes items that the calling thread's cache holds free for all: for a thread that will be idle for long. What the cache
  /// of a thread holds that does not, no other thread can give back.
  void flush_this_thread() noexcept { items_.flush_this_thread(); }
  /// Gives back upstream the chunks whose items are all free; what is kept of a chunk that went, four bytes an item and what
  /// finds it, stays until release(). Returns the bytes given back.
  std::size_t trim() noexcept {
    inspected_.give_due(as_put(), 0);
    return items_.trim();
  }
  /// Gives back chunks that were of no use for `decay_ms`, but for as many as expand() brought. Returns the bytes given back
  /// upstream. O(free items) once in a quarter of the decay, else O(1), but for what goes. `now` is what tick() reads, the
  /// monotonic clock in nanoseconds; a test may run ahead of it: until it has caught up, nothing is looked at without a tick.
  std::size_t tick(std::uint64_t now) noexcept { return items_.tick(now); }
  std::size_t tick() noexcept { return items_.tick(); }
  /// Gives everything back upstream; all items and blocks are void.
  void release() noexcept;

  /// Whether `p` points to an item that is out.
  [[nodiscard]] bool is_live(const void* p) const noexcept { return judge(p) == mem::slot_fault::none; }

  [[nodiscard]] std::size_t item_bytes() const noexcept { return options_.item_bytes; }
  /// Distance of adjacent items, bytes.
  [[nodiscard]] std::size_t item_stride() const noexcept { return plain_.slot_bytes; }
  /// Asked of upstream for a chunk, bytes.
  [[nodiscard]] std::size_t chunk_bytes() const noexcept { return items_.shape().chunk_bytes; }
  [[nodiscard]] std::size_t items_per_chunk() const noexcept { return items_.shape().slots; }
  [[nodiscard]] std::size_t chunks() const noexcept { return items_.slots().pool().chunks().count(); }
  /// Threads that wait for another to get a chunk.
  [[nodiscard]] std::size_t waiting() const noexcept { return items_.growth().waiting(); }

  [[nodiscard]] statistics stats() const noexcept override;
  [[nodiscard]] fork_policy at_fork() const noexcept override { return this->at_fork_with_books_in_upstream(); }
  /// This cache, item by item, then what is below.
  [[nodiscard]] fault check() const noexcept override;
  [[nodiscard]] std::size_t degraded(std::span<degradation> out) const noexcept override;

 protected:
  /// What recycle(p) would find.
  [[nodiscard]] mem::slot_fault judge(const void* p) const noexcept {
    return mem::inspected() ? judge_inspected(p) : items_.slots().inspect(p);
  }
  /// Says what is wrong with `p`.
  template <class Fault>
  void report(Fault fault, const void* p, std::size_t bytes) noexcept {
    if (mem::inspected()) return (void)inspected_.take_back(p, bytes, options_.alignment);
    grounds_.report({.layer = this->name(),
                     .sentence = mem::describe(fault),
                     .pointer = p,
                     .bytes = bytes,
                     .alignment = options_.alignment});
  }

 private:
  friend base;

  [[nodiscard]] inline bool fits(std::size_t bytes, std::size_t alignment) const noexcept {
    return bytes <= options_.item_bytes && alignment <= alignment_;
  }
  [[nodiscard]] inline void* take(std::size_t bytes, std::size_t alignment) {
    void* const p = items_.take_easily(bytes);
    return p != nullptr ? p : take_slowly(bytes, alignment);
  }
  [[nodiscard, gnu::noinline]] void* take_slowly(std::size_t bytes, std::size_t alignment);
  [[nodiscard, gnu::noinline]] void* take_other(std::size_t bytes, std::size_t alignment);
  inline void take_back(void* p, std::size_t bytes, std::size_t alignment) noexcept {
    if (grounds_.has_tenant(p)) [[unlikely]] {
      return report(mem::slot_fault::foreign, p, bytes);
    }
    if (!items_.put_easily(p, bytes)) [[unlikely]] {
      take_back_slowly(p, bytes, alignment);
    }
  }
  [[gnu::noinline]] void take_back_slowly(void* p, std::size_t bytes, std::size_t alignment) noexcept;
  [[gnu::noinline]] void take_back_other(void* p, std::size_t bytes, std::size_t alignment) noexcept;

  // No alignment: whatever was asked for an item.
  static constexpr std::size_t as_item = 0;

  // The rest is for when an inspector runs the process: then no thread has a cache, and all comes the slow way.
  [[nodiscard]] mem::slot_shape inspected_shape() const noexcept;
  template <class Find>
  [[nodiscard]] void* take_inspected(const inspected_blocks::room& where, std::size_t bytes, std::size_t alignment,
                                     const Find& find);
  void take_back_inspected(void* p, std::size_t bytes, std::size_t alignment) noexcept;
  [[nodiscard]] mem::slot_fault judge_inspected(const void* p) const noexcept;
  [[nodiscard]] bool is_slot(const void* p) const noexcept {
    return items_.slots().inspect(p) == mem::slot_fault::none;
  }
  [[nodiscard]] inline auto as_put() noexcept {
    return [this](const inspected_blocks::room& due) noexcept { put_room(due); };
  }
  void put_room(const inspected_blocks::room& due) noexcept;

  [[nodiscard]] inline void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    if (!fits(bytes, alignment)) [[unlikely]] {
      return take_other(bytes, alignment);
    }
    return take(bytes, alignment);
  }

  inline void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    if (!fits(bytes, alignment)) [[unlikely]] {
      return take_back_other(p, bytes, alignment);
    }
    take_back(p, bytes, alignment);
  }

  const cache_options<Threads> options_;
  const mem::slot_shape plain_;  ///< of items as they are when nobody inspects
  grounds grounds_;
  inspected_blocks inspected_;
  slot_supply<Upstream, Threads> items_;
  other_blocks<Upstream, Threads> others_;
  const std::size_t alignment_ = plain_.alignment();  ///< of every item
};

template <class Upstream>
named_cache(Upstream*) -> named_cache<Upstream>;
template <class Upstream, threads Threads>
named_cache(Upstream*, cache_options<Threads>) -> named_cache<Upstream, Threads>;

template <class Upstream, threads Threads>
named_cache<Upstream, Threads>::~named_cache() {
  if (options_.live_at_end_is_misuse && stats().live_blocks != 0) {
    this->report_live("destroyed with live items: their chunks are gone", stats());
  }
}

template <class Upstream, threads Threads>
void named_cache<Upstream, Threads>::release() noexcept {
  inspected_.forget_all();
  items_.release();
  others_.release();
}

template <class Upstream, threads Threads>
void* named_cache<Upstream, Threads>::alloc_array(std::size_t n) {
  if (n == 1) return request();
  std::size_t bytes = 0;
  if (!mem::checked_multiply(n, item_stride(), bytes)) {
    others_.failed();
    throw allocation_error(this->name(), mem::max_object, alignment_, "no machine has room for so many items");
  }
  return take_other(bytes, options_.alignment);
}

template <class Upstream, threads Threads>
void named_cache<Upstream, Threads>::free_array(void* p, std::size_t n) noexcept {
  if (p == nullptr) return;
  // One that lies in a chunk is an item, one that does not is none.
  const bool is_item = mem::inspected() ? n == 1 : judge(p) != mem::slot_fault::foreign;
  std::size_t bytes = 0;
  if (is_item && n == 1) return take_back(p, options_.item_bytes, as_item);
  // No count at all stands for one that cannot be.
  if (!mem::checked_multiply(n, item_stride(), bytes)) bytes = mem::max_object;
  if (is_item) return report(mem::owned_fault::other_size, p, bytes);
  take_back_other(p, bytes, options_.alignment);
}

template <class Upstream, threads Threads>
void* named_cache<Upstream, Threads>::take_slowly(std::size_t bytes, std::size_t alignment) {
  if (!mem::inspected()) return items_.refill(bytes);
  inspected_blocks::room where;
  (void)inspected_blocks::room_for(options_.item_bytes, alignment_, where);  // as in inspected_shape()
  where.bytes = items_.shape().slot_bytes;
  return take_inspected(where, bytes, alignment, [&] { return items_.refill(where.bytes); });
}

template <class Upstream, threads Threads>
void* named_cache<Upstream, Threads>::take_other(std::size_t bytes, std::size_t alignment) {
  inspected_blocks::room where;
  // What is too large for a room is too large for upstream, which says so.
  if (!mem::inspected() || !inspected_blocks::room_for(bytes, alignment, where)) {
    return others_.allocate(this->name(), bytes, alignment);
  }
  return take_inspected(where, bytes, alignment,
                        [&] { return others_.allocate(this->name(), where.bytes, where.alignment); });
}

template <class Upstream, threads Threads>
void named_cache<Upstream, Threads>::take_back_slowly(void* p, std::size_t bytes, std::size_t alignment) noexcept {
  if (mem::inspected()) return take_back_inspected(p, bytes, alignment);
  if (const mem::slot_fault fault = items_.put(p, bytes); fault != mem::slot_fault::none) report(fault, p, bytes);
}

template <class Upstream, threads Threads>
void named_cache<Upstream, Threads>::take_back_other(void* p, std::size_t bytes, std::size_t alignment) noexcept {
  if (mem::inspected()) return take_back_inspected(p, bytes, alignment);
  if (const mem::owned_fault fault = others_.deallocate(p, bytes); fault != mem::owned_fault::none) {
    report(fault, p, bytes);
  }
}

// A slot is a room, and aligns its item as a slot would that is none.
template <class Upstream, threads Threads>
mem::slot_shape named_cache<Upstream, Threads>::inspected_shape() const noexcept {
  inspected_blocks::room where;
  if (plain_.slots == 0 || !inspected_blocks::room_for(options_.item_bytes, plain_.alignment(), where)) return plain_;
  return mem::slot_shape::of(where.bytes, where.alignment, options_.chunk_bytes, options_.min_items);
}

template <class Upstream, threads Threads>
template <class Find>
void* named_cache<Upstream, Threads>::take_inspected(const inspected_blocks::room& where, std::size_t bytes,
                                                     std::size_t alignment, const Find& find) {
  const auto at = [&](inspected_blocks::room& in) { in.start = find(); };
  void* const block = inspected_.hand_out(where, bytes, alignment, at, as_put());
  if (block == nullptr) {
    others_.failed();
    throw allocation_error(this->name(), bytes, alignment, "there is no memory to know the block by");
  }
  return block;
}

template <class Upstream, threads Threads>
void named_cache<Upstream, Threads>::take_back_inspected(void* p, std::size_t bytes, std::size_t alignment) noexcept {
  if (alignment == as_item) {
    const inspected_blocks::known is = inspected_.look_up(p);
    const bool is_item = is.live && is_slot(is.start);
    if (is_item) bytes = is.bytes;
    alignment = is_item ? is.alignment : options_.alignment;
  }
  inspected_.take_back(p, bytes, alignment, as_put());
}

template <class Upstream, threads Threads>
mem::slot_fault named_cache<Upstream, Threads>::judge_inspected(const void* p) const noexcept {
  const inspected_blocks::known is = inspected_.look_up(p);
  if (is.start == nullptr || !is_slot(is.start)) return mem::slot_fault::foreign;
  return is.live ? mem::slot_fault::none : mem::slot_fault::already_free;
}

template <class Upstream, threads Threads>
void named_cache<Upstream, Threads>::put_room(const inspected_blocks::room& due) noexcept {
  if (is_slot(due.start)) {
    (void)items_.put(due.start, due.bytes);
  } else {
    (void)others_.deallocate(due.start, due.bytes);
  }
}

template <class Upstream, threads Threads>
statistics named_cache<Upstream, Threads>::stats() const noexcept {
  const auto items = items_.count();
  statistics figures = others_.stats();
  figures.upstream += items.upstream;
  figures.kept += items.kept;
  figures.live += items.live;
  figures.peak += items.peak;
  figures.overhead += items.upstream - items.kept - items.live;
  figures.live_blocks += items.out;
  figures.allocations += items.taken;
  figures.failures += items.failures;
  return inspected_.over(figures);
}

template <class Upstream, threads Threads>
fault named_cache<Upstream, Threads>::check() const noexcept {
  if (const char* const wrong = items_.slots().pool().check(); wrong != nullptr) return {wrong, nullptr};
  return base::check();
}

template <class Upstream, threads Threads>
std::size_t named_cache<Upstream, Threads>::degraded(std::span<degradation> out) const noexcept {
  const mem::os_error cause = items_.unknown_to_fork();
  if (!cause.failed()) return 0;
  if (!out.empty()) {
    out[0] = {"growing is not known to fork(): a child forked meanwhile may hang; do not fork", cause, 1};
  }
  return 1;
}

static_assert(layered<named_cache<>>);

}  // namespace strata::pmr
