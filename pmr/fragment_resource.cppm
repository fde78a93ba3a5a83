// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <span>

export module strata.pmr:fragment_resource;

import :exhaustion;
import :fragment_options;
import :fragment_supply;
import :grounds;
import :inspected_blocks;
import :layer;
import :ledger;
import :misuse;
import :refusals;
import :report;

import strata.mem;

/// Fragments of a region: any number in a row, in an atomic bitmap, each with an owner that can be looked up.
///
///   region   | page: fragment fragment … | page | … | tables |        blocks of up to a page stay within one; larger
///                                                                     ones start at one
///
/// Role           keeper: takes regions, hands out runs of fragments
/// Upstream       borrowed, never null, outlives this object; or none, over memory of the caller's. Asked at construction
///                for the first region, later only if max_regions allows; from any thread, outside every lock
/// Owns           its regions and the tables in them, until release() or destruction
/// Thread safety  every member from any thread, but release() and destruction, while which no other call is under way
/// Alignment      any power of two up to 2^46, as far as there is room
/// Size           up to 2^30 fragments; zero takes one
/// Complexity     lock-free: a few words of bitmap as a rule, all of them at worst, and a store for each fragment;
///                searches() tells. Where others leave open whether there is room, until they do not, or for a second and
///                10'000 looks. Giving back: a word for each 64 fragments. owner() O(1), in one of at most 64 regions.
///                check() and stats() O(fragments)
/// Overhead       rounding to fragments; 6 bytes and a bit for each fragment; 4.5 KiB a region. Under an inspector a block
///                takes a fragment more if it fills its last one, but for whole pages, as long as there is room; what is
///                known of it; and 256 KiB of blocks wait until there is no room otherwise
/// Throws         allocation_error when no run is free, saying how much is and how long the longest run is, or what
///                upstream throws when it was to grow; nothing has changed. With exhaustion::aborts the same sentence ends
///                the process. Constructed with options that cannot be: std::invalid_argument; without its first region:
///                what upstream throws
/// Deallocate     noexcept; size as allocated. Twice, from inside a block, another size, a foreign pointer: misuse, noticed
///                at once, always; the bitmap stays as it was. In a checked build whose a foreign block is, too
/// Equality       identity
/// Fork           the child can allocate and deallocate at once; blocks of threads it does not have stay out
/// Exit           destruction gives every region back, live blocks or not; live_at_end says whether those are misuse
/// Signals        not for signal handlers
/// Composes       above a source or an adaptor, best one that locks; below slabs{}, cache{} and heap{}. What it has it
///                holds from the start: it serves when the machine has nothing left
///
/// Hysteresis: regions are kept until trim(), which gives back those that are empty, but for the first.
///
/// Decay: with `decay_ms` regions but the first that nobody needed for so long go back upstream. A look, at tick() or when a
/// block comes back and a quarter of that has passed, lets empty regions rest: nothing is served from one until there is no
/// room elsewhere, and then it is woken before upstream is asked. One that rested a whole decay goes.
export namespace strata::pmr {

using mem::fragment_tag;

/// Whose an address is.
struct fragment_owner {
  void* start = nullptr;  ///< of the block it lies in, or null when it lies in none
  std::size_t bytes = 0;  ///< of the block, as rounded to fragments
  fragment_tag tag = 0;   ///< as given to take()
};

/// What claims of runs have cost so far.
struct fragment_searches {
  std::size_t claims;     ///< requests, those that failed too
  std::size_t words;      ///< words of 64 fragments looked at, one a claim at least
  std::size_t contended;  ///< answers that left open whether there was room, as other threads kept releasing
};

template <class Upstream = std::pmr::memory_resource>
class fragment_resource final : public direct_layer<fragment_resource<Upstream>> {
  using base = direct_layer<fragment_resource<Upstream>>;

 public:
  using upstream_type = Upstream;
  static constexpr bool thread_safe = true;
  static constexpr std::size_t max_alignment = fragment_supply<Upstream>::max_alignment;
  static constexpr bool zeroed = false;
  static constexpr bool can_release = true;

  static_assert(is_thread_safe_or_unknown<Upstream>,
                "strata::pmr::fragment_resource: any thread may ask upstream; put synchronized{} between");

  explicit fragment_resource(Upstream* upstream, const fragments& options = {})
      : base(options.name, upstream), supply_(upstream, options), inspected_(options.name) {}
  /// Over memory of the caller's, which outlives this object; as many pages as fit with their tables. `region_bytes` and
  /// `max_regions` mean nothing then.
  explicit fragment_resource(std::span<std::byte> memory, const fragments& options = {})
      : base(options.name, nullptr), supply_(memory, options), inspected_(options.name) {}
  ~fragment_resource() override;

  /// A block that bears `tag`; a critical one may come out of the reserve. put() wants the same tag.
  [[nodiscard]] void* take(std::size_t bytes, std::size_t alignment, fragment_tag tag, bool critical = false);
  /// The same, but null and a reason where there is no room. Throws only what upstream throws when it was to grow.
  [[nodiscard]] void* try_take(std::size_t bytes, std::size_t alignment, fragment_tag tag, bool critical,
                               const char*& reason);
  void put(void* p, std::size_t bytes, std::size_t alignment, fragment_tag tag) noexcept;
  /// The same, but what is wrong is for the caller to report; nothing has changed then.
  [[nodiscard]] mem::fragment_fault try_put(void* p, std::size_t bytes, fragment_tag tag) noexcept;

  /// What it has of upstream, by which it is known to others. For an assembly it is part of.
  [[nodiscard]] grounds& holdings() noexcept { return supply_.holdings(); }
  [[nodiscard]] const grounds& holdings() const noexcept { return supply_.holdings(); }

  /// Whose `p` is, any address. O(1). Any thread; that others give it back meanwhile is the caller's to prevent.
  [[nodiscard]] fragment_owner owner(const void* p) const noexcept;
  /// Whether `p` lies in a live block.
  [[nodiscard]] bool owns(const void* p) const noexcept { return owner(p).start != nullptr; }

  /// Makes the block at `p` hold `bytes` instead of `old_bytes` where it lies; fragments that are over are free then.
  /// False, nothing changed, when it is too short. It is then deallocated with the new size. Pre: live, the caller's.
  [[nodiscard]] bool try_resize(void* p, std::size_t old_bytes, std::size_t bytes) noexcept;

  /// Gives empty regions back upstream, but for the first. Returns the bytes given back.
  std::size_t trim() noexcept {
    inspected_.give_due(as_put(), 0);
    return supply_.trim();
  }
  /// Gives back regions, but the first, that were of no use for `decay_ms`. Returns the bytes given back. A few words of each
  /// region, but for what comes to rest. `now` is what tick() reads, the monotonic clock in nanoseconds; a test may run ahead
  /// of it: until it has caught up, nothing is looked at without a tick.
  std::size_t tick(std::uint64_t now) noexcept { return supply_.tick(now); }
  std::size_t tick() noexcept { return supply_.tick(); }
  /// Gives everything back upstream; all blocks are void. The next request takes a first region again.
  void release() noexcept;

  [[nodiscard]] std::size_t fragment_bytes() const noexcept { return supply_.options().fragment_bytes; }
  [[nodiscard]] std::size_t page_bytes() const noexcept { return supply_.options().page_bytes; }
  /// Bytes for all blocks, free or not.
  [[nodiscard]] std::size_t capacity() const noexcept { return supply_.store().count().data; }
  /// The largest request that would be served just now, bytes.
  [[nodiscard]] std::size_t largest_free() const noexcept { return supply_.store().longest_free(); }
  /// What is free just now.
  [[nodiscard]] room left() const noexcept { return {supply_.store().count().free, largest_free()}; }
  [[nodiscard]] fragment_searches searches() const noexcept;

  [[nodiscard]] statistics stats() const noexcept override;
  [[nodiscard]] fork_policy at_fork() const noexcept override { return this->at_fork_with_books_in_upstream(); }
  [[nodiscard]] fault check() const noexcept override;
  [[nodiscard]] std::size_t degraded(std::span<degradation> out) const noexcept override;

 private:
  friend base;

  [[nodiscard]] inline void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    return mem::inspected() ? allocate_inspected(bytes, alignment) : take(bytes, alignment, 0);
  }
  inline void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    if (holdings().has_tenant(p)) [[unlikely]] {
      return holdings().report({this->name(), mem::describe(mem::fragment_fault::foreign), p, bytes, alignment});
    }
    mem::inspected() ? deallocate_inspected(p, bytes, alignment) : put(p, bytes, alignment, 0);
  }

  [[nodiscard]] std::size_t fragments_for(std::size_t bytes) const noexcept {
    return bytes == 0 ? 1 : (bytes - 1) / supply_.options().fragment_bytes + 1;
  }
  [[nodiscard]] void* allocate_inspected(std::size_t bytes, std::size_t alignment);
  void deallocate_inspected(void* p, std::size_t bytes, std::size_t alignment) noexcept {
    inspected_.take_back(p, bytes, alignment, as_put());
  }
  [[nodiscard]] inline auto as_put() noexcept {
    return [this](const inspected_blocks::room& due) noexcept { put(due.start, due.bytes, due.alignment, 0); };
  }
  [[nodiscard]] bool resize_inspected(void* p, std::size_t bytes) noexcept;
  [[nodiscard]] std::size_t more_for(std::size_t bytes) const noexcept;
  [[noreturn]] void refuse(std::size_t bytes, std::size_t alignment, const char* reason);

  fragment_supply<Upstream> supply_;
  striped_ledger ledger_;
  /// Of blocks that were allocated; of what was taken, by its tag, only whether it is out.
  inspected_blocks inspected_;
};

template <class Upstream>
fragment_resource(Upstream*) -> fragment_resource<Upstream>;
template <class Upstream>
fragment_resource(Upstream*, fragments) -> fragment_resource<Upstream>;
fragment_resource(std::span<std::byte>) -> fragment_resource<>;
fragment_resource(std::span<std::byte>, fragments) -> fragment_resource<>;

template <class Upstream>
fragment_resource<Upstream>::~fragment_resource() {
  if (supply_.options().live_at_end_is_misuse && stats().live_blocks != 0) {
    this->report_live("destroyed with live blocks: their regions are gone", stats());
  }
}

template <class Upstream>
void* fragment_resource<Upstream>::take(std::size_t bytes, std::size_t alignment, fragment_tag tag, bool critical) {
  const char* reason = nullptr;
  void* const p = try_take(bytes, alignment, tag, critical, reason);
  if (p == nullptr) [[unlikely]] {
    refuse(bytes, alignment, reason);
  }
  return p;
}

template <class Upstream>
void* fragment_resource<Upstream>::try_take(std::size_t bytes, std::size_t alignment, fragment_tag tag, bool critical,
                                            const char*& reason) {
  const std::size_t n = fragments_for(bytes);
  void* p = nullptr;
  try {
    p = supply_.take(n, alignment, tag, critical, reason);
  } catch (...) {
    ledger_.failed();
    throw;
  }
  if (p == nullptr) [[unlikely]] {
    return nullptr;
  }
  ledger_.handed_out(bytes);
  if (mem::inspected()) mem::show(p, n * supply_.options().fragment_bytes);
  return p;
}

template <class Upstream>
mem::fragment_fault fragment_resource<Upstream>::try_put(void* p, std::size_t bytes, fragment_tag tag) noexcept {
  const mem::fragment_fault fault = supply_.put(p, fragments_for(bytes), tag);
  if (fault == mem::fragment_fault::none) [[likely]] {
    ledger_.taken_back(bytes);
    supply_.look_if_due();
  }
  return fault;
}

template <class Upstream>
void fragment_resource<Upstream>::put(void* p, std::size_t bytes, std::size_t alignment, fragment_tag tag) noexcept {
  const mem::fragment_fault fault = try_put(p, bytes, tag);
  if (fault != mem::fragment_fault::none) [[unlikely]] {
    holdings().report({this->name(), mem::describe(fault), p, bytes, alignment});
  }
}

// A block that fills its last fragment has no hidden byte behind it: then one more, unless it is whole pages, of which the
// next one is another page's, or that is all there is room for. What waits is given back before more is taken from upstream.
template <class Upstream>
void* fragment_resource<Upstream>::allocate_inspected(std::size_t bytes, std::size_t alignment) {
  std::size_t least = 0;
  if (!mem::checked_round_up(std::max<std::size_t>(bytes, 1), supply_.options().fragment_bytes, least) ||
      least > mem::max_object || alignment > max_alignment) {
    refuse(bytes, alignment, "no block can be so large or so aligned");
  }
  const char* reason = nullptr;
  const auto find = [&](inspected_blocks::room& in) {
    in.bytes = least + more_for(bytes);
    in.start = supply_.take_now(fragments_for(in.bytes), alignment);
    if (in.start == nullptr && inspected_.waiting() != 0) {
      inspected_.give_due(as_put(), 0);
      in.start = supply_.take_now(fragments_for(in.bytes), alignment);
    }
    if (in.start != nullptr) {
      ledger_.handed_out(in.bytes);
    } else {
      in.bytes = least;
      in.start = try_take(least, alignment, 0, false, reason);
    }
    if (in.start != nullptr) mem::hide(in.start, in.bytes);
  };
  void* const block = inspected_.hand_out({.alignment = alignment}, bytes, alignment, find, as_put());
  if (block == nullptr) {
    refuse(bytes, alignment, reason != nullptr ? reason : "no memory for what is to be known of the block");
  }
  return block;
}

// Bytes of the fragment more.
template <class Upstream>
std::size_t fragment_resource<Upstream>::more_for(std::size_t bytes) const noexcept {
  const bool is_full =
      bytes != 0 && bytes % supply_.options().fragment_bytes == 0 && bytes % supply_.options().page_bytes != 0;
  return is_full ? supply_.options().fragment_bytes : 0;
}

template <class Upstream>
bool fragment_resource<Upstream>::resize_inspected(void* p, std::size_t bytes) noexcept {
  const std::size_t has = supply_.store().find(p).fragments;
  const std::size_t wanted = std::min(has, fragments_for(bytes + more_for(bytes)));
  inspected_.resize(p, bytes, wanted * supply_.options().fragment_bytes);
  supply_.shrink(p, has, wanted);
  ledger_.resized(has * supply_.options().fragment_bytes, wanted * supply_.options().fragment_bytes);
  return true;
}

template <class Upstream>
fragment_owner fragment_resource<Upstream>::owner(const void* p) const noexcept {
  const mem::fragment_map::found found = supply_.store().find(p);
  return {found.start, found.fragments * supply_.options().fragment_bytes, found.tag};
}

template <class Upstream>
bool fragment_resource<Upstream>::try_resize(void* p, std::size_t old_bytes, std::size_t bytes) noexcept {
  const std::size_t has = fragments_for(old_bytes);
  const std::size_t wanted = fragments_for(bytes);
  if (wanted > has) return false;
  if (mem::inspected() && inspected_.bytes_at(p) != 0) return resize_inspected(p, bytes);
  supply_.shrink(p, has, wanted);
  ledger_.resized(old_bytes, bytes);
  return true;
}

template <class Upstream>
void fragment_resource<Upstream>::release() noexcept {
  ledger_.released();
  inspected_.forget_all();
  supply_.release();
}

template <class Upstream>
void fragment_resource<Upstream>::refuse(std::size_t bytes, std::size_t alignment, const char* reason) {
  ledger_.failed();
  fail(supply_.options().when_exhausted, {this->name(), bytes, alignment, reason, left()});
}

template <class Upstream>
fragment_searches fragment_resource<Upstream>::searches() const noexcept {
  const statistics figures = ledger_.figures();
  const std::size_t claims = figures.allocations + figures.failures;
  return {claims, claims + supply_.more_words(), supply_.contended()};
}

template <class Upstream>
statistics fragment_resource<Upstream>::stats() const noexcept {
  statistics figures = ledger_.figures();
  figures.upstream = supply_.held();
  figures.kept = supply_.store().count().free;
  figures.overhead = figures.upstream - figures.live - figures.kept;
  return inspected_.over(figures);
}

template <class Upstream>
fault fragment_resource<Upstream>::check() const noexcept {
  if (const char* const wrong = supply_.store().check(); wrong != nullptr) return {wrong, nullptr};
  return base::check();
}

template <class Upstream>
std::size_t fragment_resource<Upstream>::degraded(std::span<degradation> out) const noexcept {
  const auto told = [](mem::os_error cause, const char* reason) {
    return degradation{reason, cause, cause.failed() ? std::size_t{1} : std::size_t{0}};
  };
  return tell({told(supply_.store().unknown_to_fork(),
                    "its regions are not known to fork(): a child may lose fragments that other "
                    "threads had in hand"),
               told(supply_.growth_unknown_to_fork(),
                    "growing is not known to fork(): a child forked meanwhile may hang; do not fork")},
              out);
}

static_assert(layered<fragment_resource<>>);

}  // namespace strata::pmr
