// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory_resource>
#include <new>
#include <optional>
#include <span>

#include "absl/functional/function_ref.h"

export module strata.pmr:mempool_resource;

import :allocation_error;
import :exhaustion;
import :fragment_resource;
import :grounds;
import :inspected_blocks;
import :layer;
import :mempool_clients;
import :mempool_options;
import :misuse;
import :refusals;
import :report;
import :small_heap;

import strata.mem;

/// The autonomous pool: one segment taken at the start, from which everything is served, even when the machine has
/// nothing left.
///
///   segment   | fragments: blocks · pages of the small heap · chunks of named caches · the heaps · … | tables |
///
/// Role           keeper: takes a segment, hands out blocks of any size; assembly of fragments, a small heap and caches
/// Upstream       borrowed, never null, outlives this object. Asked once, at construction. Best one that locks
/// Owns           its segment, until destruction; its books lie in it
/// Thread safety  every member from any thread, but destruction, while which no other call is under way
/// Alignment      any power of two up to 2^46, as far as there is room
/// Size           up to the segment; zero takes a smallest block. Up to heap_largest bytes, but for multiples of a
///                fragment: the small heap; others: fragments
/// Complexity     small heap O(1), a lock of one of `heaps`; fragments lock-free, a few words of bitmap as a rule;
///                owner() and giving back without a size O(1)
/// Overhead       8 bytes a small block, 24 at the least, rounding to 16; other blocks are rounded to fragments. Tables:
///                2.5 % of the segment; 11 KiB a heap. Under an inspector 24 to 31 bytes a block more, or its alignment and 8,
///                and 256 KiB of blocks that wait; what is known of them is not in the segment
/// Throws         allocation_error when there is no room, saying how much is free and how much of it in one piece; nothing
///                has changed. With exhaustion::aborts the same sentence ends the process. Constructed with options that
///                cannot be: std::invalid_argument; without its segment: what upstream throws
/// Deallocate     noexcept; with the size, which is checked, or without. Null is fine. Twice, from inside a block, a foreign
///                pointer, another size: misuse, noticed at once, always; in a checked build also whose that is. Under an
///                inspector any other size or alignment
/// Equality       identity
/// Fork           the child can allocate and deallocate at once; blocks of threads it does not have stay out
/// Exit           destruction gives the segment back, live blocks or not; live_at_end says whether those are misuse. Its
///                caches end before
/// Signals        not for signal handlers
/// Composes       pages{} → locked{} → mempool{}: autonomous and resident. Makes no system call of its own after
///                construction, but to wait for another thread at a lock, or to let one run that is in the middle of a step
///
/// Hysteresis: a heap keeps one empty page until trim(); all else goes back to the fragments at once.
///
/// Decay: with `decay_ms` such a page, and chunks of caches, go back to the fragments when nobody needed them for so long: at
/// tick(), when a page is taken or becomes empty, and as named_cache has it. The segment stays.
export namespace strata::pmr {

/// Whose an address in a pool is.
struct mempool_owner {
  enum class kind : std::uint8_t {
    nobody,
    block,      ///< a block of fragments
    heap_page,  ///< a page of the small heap
    cache,      ///< a chunk, or books, of a named cache
    books,      ///< the pool's own
  };
  kind what = kind::nobody;
  void* start = nullptr;       ///< of the run of fragments it lies in
  std::size_t bytes = 0;       ///< of that run
  const char* name = nullptr;  ///< of the cache
};

}  // namespace strata::pmr

namespace strata::pmr {

// What has to be there before a mempool_resource becomes a layer over it.
template <class Upstream>
struct mempool_ground {
  mempool_ground(Upstream* upstream, const mempool& options) : fragments_(upstream, options.valid_fragments()) {}
  fragment_resource<Upstream> fragments_;
};

template <class Upstream>
inline constexpr bool is_locked_by = requires { requires Upstream::locks_memory; };

}  // namespace strata::pmr

export namespace strata::pmr {

template <class Upstream = std::pmr::memory_resource>
class mempool_resource final : mempool_ground<Upstream>, public direct_layer<mempool_resource<Upstream>> {
  using ground = mempool_ground<Upstream>;
  using base = direct_layer<mempool_resource<Upstream>>;

 public:
  using upstream_type = Upstream;
  static constexpr bool thread_safe = true;
  static constexpr std::size_t max_alignment = fragment_resource<Upstream>::max_alignment;
  static constexpr bool zeroed = false;
  static constexpr bool can_release = false;

  /// Caches a pool can have at a time.
  static constexpr std::size_t max_caches = mempool_clients::most;

  explicit mempool_resource(Upstream* upstream, const mempool& options = {});
  ~mempool_resource() override;

  using base::allocate;
  using base::deallocate;

  /// Takes back any live block of this pool, items of its caches included, whatever its size. Null is fine.
  void deallocate(void* p) noexcept { give_back(p, any_size, 0); }

  /// A block of `bytes` with what was at `p`, which is then void unless it is the same. The same if it holds as many. Null
  /// for `p` is no block. Throws as allocate() does: then `p` is as it was. It goes back by deallocate(p).
  [[nodiscard]] void* reallocate(void* p, std::size_t bytes);

  /// Bytes that may be used at `p`, at least what was asked for; 0 when it is no live block of this pool.
  [[nodiscard]] std::size_t usable_size(const void* p) const noexcept;

  /// Whose `p` is, any address. O(1).
  [[nodiscard]] mempool_owner owner(const void* p) const noexcept;
  /// Whether `p` lies in something of this pool that is taken.
  [[nodiscard]] bool owns(const void* p) const noexcept { return this->fragments_.owns(p); }

  /// The same pool for requests that must not fail: they may use the reserve.
  [[nodiscard]] std::pmr::memory_resource& critical() noexcept { return critical_; }

  /// Gives empty pages of the small heap back to the fragments; caches trim themselves. Returns their bytes.
  std::size_t trim() noexcept {
    inspected_.give_due(as_put(), 0);
    return heap_.trim();
  }

  /// Gives back to the fragments what was of no use for `decay_ms`, here and in every cache. Returns the bytes. What another
  /// thread is just at is left to it. `now` is what tick() reads, the monotonic clock in nanoseconds; a test may run ahead of
  /// it: until it has caught up, nothing is looked at without a tick.
  std::size_t tick(std::uint64_t now) noexcept;
  std::size_t tick() noexcept { return decay().is_on() ? tick(mem::monotonic_ns()) : 0; }

  /// What lies below: all of the segment, by blocks.
  [[nodiscard]] fragment_resource<Upstream>& segment() noexcept { return this->fragments_; }
  [[nodiscard]] const fragment_resource<Upstream>& segment() const noexcept { return this->fragments_; }

  /// `live` is what blocks hold, as who gives back need not know what was asked for; what caches have taken is live, too:
  /// they are layers above. `peak` is of what was taken from the segment, pages of the small heap counted whole.
  [[nodiscard]] statistics stats() const noexcept override;
  [[nodiscard]] fault check() const noexcept override;
  [[nodiscard]] std::size_t degraded(std::span<degradation> out) const noexcept override;

  /// Shows every cache. None comes or goes meanwhile.
  void visit_caches(absl::FunctionRef<void(const layer&)> visitor) const;

  /// For caches: a tag for one that is being made; then who that is; then that it is gone.
  [[nodiscard]] fragment_tag enter();
  void introduce(fragment_tag tag, mempool_client* client) noexcept { clients_.introduce(tag, client); }
  void leave(fragment_tag tag) noexcept { clients_.leave(tag); }
  [[nodiscard]] std::size_t decay_ms() const noexcept { return options_.decay_ms; }

 private:
  friend base;

  static constexpr std::size_t any_size = SIZE_MAX;
  static constexpr fragment_tag of_blocks = 0;
  static constexpr fragment_tag of_heaps = 1;
  static constexpr fragment_tag of_caches = 17;
  static constexpr fragment_tag of_books = 0xFFFF;
  using caches = mempool_clients::table;

  class critical_view final : public std::pmr::memory_resource {
   public:
    explicit critical_view(mempool_resource* pool) noexcept : pool_(pool) {}

   private:
    [[nodiscard]] void* do_allocate(std::size_t bytes, std::size_t alignment) override {
      return pool_->take(bytes, alignment, true);
    }
    void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
      pool_->give_back(p, bytes, alignment);
    }
    [[nodiscard]] bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
      return this == &other;
    }

    mempool_resource* const pool_;
  };

  [[nodiscard]] inline void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    return take(bytes, alignment, false);
  }
  inline void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    give_back(p, bytes, alignment);
  }

  // Up to how many bytes the small heap serves a block.
  [[nodiscard]] inline bool is_small(std::size_t bytes, std::size_t alignment, std::size_t largest) const noexcept {
    return std::max<std::size_t>(bytes, 1) <= largest && alignment <= mem::block::unit &&
           ((bytes & (options_.fragment_bytes - 1)) != 0 || bytes == 0);
  }
  // In whole fragments; what is too large for that is too large for all.
  [[nodiscard]] inline std::size_t whole(std::size_t bytes) const noexcept {
    return bytes == 0 ? options_.fragment_bytes : mem::round_up(bytes, options_.fragment_bytes);
  }

  [[nodiscard]] void* take(std::size_t bytes, std::size_t alignment, bool critical);
  void give_back(void* p, std::size_t bytes, std::size_t alignment) noexcept;
  void put(void* p, std::size_t bytes, std::size_t alignment) noexcept;
  [[noreturn]] void refuse(std::size_t bytes, std::size_t alignment, const char* reason);

  // While an inspector runs the process, blocks lie in rooms, which are blocks to the heap and the fragments.
  [[nodiscard, gnu::noinline]] void* take_unusual(std::size_t bytes, std::size_t alignment, bool critical);
  [[gnu::noinline]] void give_back_inspected(void* p, std::size_t bytes, std::size_t alignment) noexcept;
  [[nodiscard]] inline auto as_put() noexcept {
    return [this](const inspected_blocks::room& due) noexcept {
      mem::show(due.start, due.bytes);  // the heap writes into what is free
      put(due.start, any_size, 0);
    };
  }
  [[nodiscard]] std::size_t held_at(const void* start) const noexcept;
  void say(const char* sentence, const void* p, std::size_t bytes, std::size_t alignment) const noexcept;
  [[nodiscard]] mem::decay_period decay() const noexcept { return mem::decay_period(options_.decay_ms); }

  const mempool options_;
  // So that looks at sizes and pointers there are anyway tell whether an inspector runs the process.
  const std::size_t small_ = mem::inspected() ? 0 : options_.heap_largest;    ///< most for the small heap
  const std::size_t too_large_ = mem::inspected() ? 0 : mem::max_object + 1;  ///< for fragments
  const std::uintptr_t void_ = mem::inspected() ? UINTPTR_MAX : 0;            ///< no block lies at or below it
  small_heap<Upstream> heap_;
  caches* const caches_;  ///< in the segment
  mempool_clients clients_{caches_, of_caches};
  mem::tally<mem::threads::any> failures_;
  critical_view critical_{this};
  inspected_blocks inspected_;
};

template <class Upstream>
mempool_resource(Upstream*) -> mempool_resource<Upstream>;
template <class Upstream>
mempool_resource(Upstream*, mempool) -> mempool_resource<Upstream>;

template <class Upstream>
mempool_resource<Upstream>::mempool_resource(Upstream* upstream, const mempool& options)
    : ground(upstream, options),
      base(options.name, &this->fragments_),
      options_(options),
      heap_(&this->fragments_, options.heaps, of_heaps, of_books, decay()),
      caches_(::new(this->fragments_.take(sizeof(caches), alignof(caches), of_books)) caches{}),
      inspected_(options.name) {
  this->fragments_.holdings().rename(options.name);
}

template <class Upstream>
mempool_resource<Upstream>::~mempool_resource() {
  if (options_.live_at_end_is_misuse && stats().live_blocks != 0) {
    this->report_live("destroyed with live blocks: their segment is gone", stats());
  }
  const char* tenant = nullptr;
  visit_caches([&](const layer& cache) { tenant = cache.name(); });
  if (tenant != nullptr) {
    report_misuse({.layer = this->name(),
                   .sentence = "destroyed while a cache still lives in its segment: destroy the cache first",
                   .detail = tenant});
  }
}

template <class Upstream>
void* mempool_resource<Upstream>::take(std::size_t bytes, std::size_t alignment, bool critical) {
  const char* reason = nullptr;
  if (is_small(bytes, alignment, small_)) {
    const auto got = heap_.allocate(bytes, critical);
    if (got.block != nullptr) return got.block;
    reason = got.reason;
  } else if (bytes >= too_large_) [[unlikely]] {
    return take_unusual(bytes, alignment, critical);
  } else if (void* const p = this->fragments_.try_take(whole(bytes), alignment, of_blocks, critical, reason);
             p != nullptr) {
    return p;
  }
  refuse(bytes, alignment, reason);
}

template <class Upstream>
void* mempool_resource<Upstream>::take_unusual(std::size_t bytes, std::size_t alignment, bool critical) {
  inspected_blocks::room room;
  if (!mem::inspected() || !inspected_blocks::room_for(bytes, alignment, room)) {
    refuse(bytes, alignment, "no block can be so large or so aligned");
  }
  const char* reason = nullptr;
  const bool small = is_small(room.bytes, room.alignment, options_.heap_largest);
  const auto find = [&](inspected_blocks::room& in) {
    if (small) {
      const auto got = heap_.allocate(in.bytes, critical);
      reason = got.reason;
      in.start = got.block;
    } else {
      in.start = this->fragments_.try_take(whole(in.bytes), in.alignment, of_blocks, critical, reason);
    }
    if (in.start != nullptr) in.bytes = held_at(in.start);
  };
  void* const block = inspected_.hand_out(room, std::max<std::size_t>(bytes, 1), alignment, find, as_put());
  if (block == nullptr) {
    refuse(bytes, alignment, reason != nullptr ? reason : "no memory for what is to be known of the block");
  }
  return block;
}

template <class Upstream>
void mempool_resource<Upstream>::refuse(std::size_t bytes, std::size_t alignment, const char* reason) {
  failures_.add(1);
  fail(options_.when_exhausted, {this->name(), bytes, alignment, reason, this->fragments_.left()});
}

template <class Upstream>
void mempool_resource<Upstream>::give_back(void* p, std::size_t bytes, std::size_t alignment) noexcept {
  if (mem::address(p) <= void_) [[unlikely]] {
    return p == nullptr ? void() : give_back_inspected(p, bytes, alignment);
  }
  put(p, bytes, alignment);
}

template <class Upstream>
void mempool_resource<Upstream>::give_back_inspected(void* p, std::size_t bytes, std::size_t alignment) noexcept {
  if (clients_.find(this->fragments_.owner(p).tag) != nullptr) return put(p, bytes, alignment);
  if (bytes == any_size) {
    const inspected_blocks::known is = inspected_.look_up(p);
    bytes = is.bytes;
    alignment = is.alignment;
  }
  inspected_.take_back(p, std::max<std::size_t>(bytes, 1), alignment, as_put());
}

// As the heap or the fragments count it.
template <class Upstream>
std::size_t mempool_resource<Upstream>::held_at(const void* start) const noexcept {
  const fragment_owner owner = this->fragments_.owner(start);
  return heap_.has(owner.tag) ? heap_.usable_size(start, owner) : owner.bytes;
}

template <class Upstream>
void mempool_resource<Upstream>::put(void* p, std::size_t bytes, std::size_t alignment) noexcept {
  const fragment_owner owner = this->fragments_.owner(p);
  const char* wrong = nullptr;
  if (this->fragments_.holdings().has_tenant(p) && clients_.find(owner.tag) == nullptr) [[unlikely]] {
    wrong = mem::describe(mem::fragment_fault::foreign);
  } else if (heap_.has(owner.tag)) {
    wrong = heap_.deallocate(p, bytes == any_size ? 0 : bytes, owner);
  } else if (mempool_client* const client = clients_.find(owner.tag); client == nullptr) {
    const std::size_t has = bytes == any_size ? owner.bytes : bytes > mem::max_object ? bytes : whole(bytes);
    const mem::fragment_fault fault = this->fragments_.try_put(p, has, of_blocks);
    if (fault != mem::fragment_fault::none) wrong = mem::describe(fault);
  } else if (bytes == any_size) {
    client->take_back(p);
  } else {
    return report_misuse({.layer = this->name(),
                          .sentence = "deallocated an item of a cache as a block of the pool",
                          .pointer = p,
                          .bytes = bytes,
                          .alignment = alignment,
                          .detail = client->as_layer().name()});
  }
  if (wrong != nullptr) [[unlikely]] {
    say(wrong, p, bytes, alignment);
  }
}

template <class Upstream>
void* mempool_resource<Upstream>::reallocate(void* p, std::size_t bytes) {
  if (p == nullptr) return take(bytes, mem::block::unit, false);
  const std::size_t holds = usable_size(p);
  if (holds == 0) {
    say("reallocated what is no live block of this pool", p, bytes, 0);
    throw allocation_error(this->name(), bytes, mem::block::unit, "the block to be replaced is none");
  }
  const fragment_owner owner = this->fragments_.owner(p);
  const bool is_block = owner.tag == of_blocks;
  if (bytes <= holds) {
    if (!options_.trims_on_shrink) return p;
    if (mem::inspected()) return p;  // what is hidden is no use to anybody
    if (heap_.has(owner.tag)) (void)heap_.resize(p, bytes, owner);
    if (is_block) (void)this->fragments_.try_resize(p, holds, whole(bytes));
    return p;
  }
  // The block above may be free, and this one still a small one.
  if (heap_.has(owner.tag) && bytes <= small_ && heap_.resize(p, bytes, owner)) return p;
  void* const larger = take(bytes, mem::block::unit, false);
  std::memcpy(larger, p, holds);
  give_back(p, any_size, 0);
  return larger;
}

template <class Upstream>
std::size_t mempool_resource<Upstream>::usable_size(const void* p) const noexcept {
  const fragment_owner owner = this->fragments_.owner(p);
  if (owner.start == nullptr) return 0;
  if (mem::inspected() && clients_.find(owner.tag) == nullptr) {
    const inspected_blocks::known is = inspected_.look_up(p);
    return is.live ? is.bytes : 0;
  }
  if (heap_.has(owner.tag)) return heap_.usable_size(p, owner);
  if (const mempool_client* const client = clients_.find(owner.tag); client != nullptr) return client->usable_size(p);
  return p == owner.start && owner.tag == of_blocks ? owner.bytes : 0;
}

template <class Upstream>
mempool_owner mempool_resource<Upstream>::owner(const void* p) const noexcept {
  using enum mempool_owner::kind;
  const fragment_owner owner = this->fragments_.owner(p);
  if (owner.start == nullptr) return {};
  if (heap_.has(owner.tag)) return {heap_page, owner.start, owner.bytes, nullptr};
  if (const mempool_client* const client = clients_.find(owner.tag); client != nullptr) {
    return {cache, owner.start, owner.bytes, client->as_layer().name()};
  }
  return {owner.tag == of_blocks ? block : books, owner.start, owner.bytes, nullptr};
}

template <class Upstream>
void mempool_resource<Upstream>::say(const char* sentence, const void* p, std::size_t bytes,
                                     std::size_t alignment) const noexcept {
  this->fragments_.holdings().report({this->name(), sentence, p, bytes == any_size ? 0 : bytes, alignment});
}

template <class Upstream>
statistics mempool_resource<Upstream>::stats() const noexcept {
  const statistics all = this->fragments_.stats();
  const statistics small = heap_.stats();
  const auto pages = heap_.pages();
  statistics figures;
  figures.upstream = all.live;
  figures.kept = small.kept;
  figures.overhead = small.overhead + sizeof(caches);
  figures.live = figures.upstream - figures.kept - figures.overhead;
  figures.live_blocks = all.live_blocks - pages.now - 2 + small.live_blocks;
  figures.allocations = all.allocations - pages.taken - 2 + small.allocations;
  figures.failures = failures_.get();
  figures.peak = all.peak - sizeof(caches) - heap_.books_bytes();
  return inspected_.over(figures);
}

template <class Upstream>
fault mempool_resource<Upstream>::check() const noexcept {
  const void* where = nullptr;
  if (const char* const wrong = heap_.check(where); wrong != nullptr) return {wrong, where};
  return base::check();
}

template <class Upstream>
std::size_t mempool_resource<Upstream>::degraded(std::span<degradation> out) const noexcept {
  const degradation pageable{"the layer below does not lock memory: pages may go to swap; put locked{} there",
                             {},
                             is_locked_by<Upstream> ? std::size_t{0} : std::size_t{1}};
  const mem::os_error of_heaps_lock = heap_.unknown_to_fork();
  const mem::os_error unknown = of_heaps_lock.failed() ? of_heaps_lock : clients_.unknown_to_fork();
  return tell({pageable,
               {"a lock is not known to fork(): a child forked while another thread allocates may hang; do not fork",
                unknown, unknown.failed() ? std::size_t{1} : std::size_t{0}}},
              out);
}

template <class Upstream>
void mempool_resource<Upstream>::visit_caches(absl::FunctionRef<void(const layer&)> visitor) const {
  clients_.visit([&](const mempool_client& client) { visitor(client.as_layer()); });
}

template <class Upstream>
fragment_tag mempool_resource<Upstream>::enter() {
  if (const std::optional<fragment_tag> tag = clients_.enter(); tag) return *tag;
  throw allocation_error(this->name(), 0, 1, "a pool has 240 caches at most; let others end first");
}

template <class Upstream>
std::size_t mempool_resource<Upstream>::tick(std::uint64_t now) noexcept {
  return decay().is_on() ? heap_.tick(now) + clients_.tick(now) : 0;
}

static_assert(layered<mempool_resource<>>);

}  // namespace strata::pmr
