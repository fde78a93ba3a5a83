// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <new>
#include <span>
#include <stdexcept>

export module strata.pmr:fragment_resource;

import :allocation_error;
import :exhaustion;
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
///                searches() tells. Giving back: a word for each 64 fragments. owner() O(1), in one of at most 64 regions.
///                check() and stats() O(fragments)
/// Overhead       rounding to fragments; 6 bytes and a bit for each fragment; 4.5 KiB a region. Under an inspector a block
///                takes a fragment more if it fills its last one, but for whole pages, as long as there is room; what is
///                known of it; and 256 KiB of blocks wait until there is no room otherwise
/// Throws         allocation_error when no run is free, saying how much is and how long the longest run is, or what
///                upstream throws when it was to grow; nothing has changed. With exhaustion::aborts the same sentence ends
///                the process. Constructed with options that cannot be: std::invalid_argument; without its first region:
///                what upstream throws
/// Deallocate     noexcept; size as allocated. Twice, from inside a block, another size, a foreign pointer: misuse, noticed
///                at once, always; the bitmap stays as it was
/// Equality       identity
/// Fork           the child can allocate and deallocate at once; blocks of threads it does not have stay out
/// Exit           destruction gives every region back, live blocks or not; live_at_end says whether those are misuse
/// Signals        not for signal handlers
/// Composes       above a source or an adaptor, best one that locks; below slabs{}, cache{} and heap{}. What it has it
///                holds from the start: it serves when the machine has nothing left
///
/// Hysteresis: regions are kept until trim(), which gives back those that are empty, but for the first.
export namespace strata::pmr {

using mem::fragment_tag;

template <class Upstream>
class fragment_resource;

/// A fragment_resource in a stack: its options.
struct fragments {
  template <class Upstream>
  using layer_over = fragment_resource<Upstream>;

  const char* name = "fragments";                   ///< in reports and errors; outlives the layer
  std::size_t fragment_bytes = 256;                 ///< a power of two, at least 16
  std::size_t page_bytes = 8192;                    ///< a power of two of fragments, at least 128
  std::size_t region_bytes = std::size_t{2} << 20;  ///< to be handed out, of a region; whole pages; tables come on top
  std::size_t max_regions = 1;                      ///< 1: the first is all there will be; at most 64
  std::size_t reserve_bytes = 0;                   ///< of the region: for critical requests only; then max_regions is 1
  bool prefault = false;                           ///< touch every page of a region when it comes
  exhaustion when_exhausted = exhaustion::throws;  ///< what becomes of a request that cannot be served
  bool live_at_end_is_misuse = false;              ///< report blocks that are alive at destruction

  /// Throws std::invalid_argument when something above cannot be.
  void validate() const;
  /// The first page in memory of the caller's, and how many bytes there are from it on.
  [[nodiscard]] std::byte* align_own(std::span<std::byte> memory, std::size_t& rest) const noexcept;
};

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
  static constexpr std::size_t max_alignment = std::size_t{1} << 46;
  static constexpr bool zeroed = false;
  static constexpr bool can_release = true;

  static_assert(is_thread_safe_or_unknown<Upstream>,
                "strata::pmr::fragment_resource: any thread may ask upstream; put synchronized{} between");

  explicit fragment_resource(Upstream* upstream, const fragments& options = {});
  /// Over memory of the caller's, which outlives this object; as many pages as fit with their tables. `region_bytes` and
  /// `max_regions` mean nothing then.
  explicit fragment_resource(std::span<std::byte> memory, const fragments& options = {});
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
  [[nodiscard]] grounds& held() noexcept { return grounds_; }
  [[nodiscard]] const grounds& held() const noexcept { return grounds_; }

  /// Whose `p` is, any address. O(1). Any thread; that others give it back meanwhile is the caller's to prevent.
  [[nodiscard]] fragment_owner owner(const void* p) const noexcept;
  /// Whether `p` lies in a live block.
  [[nodiscard]] bool owns(const void* p) const noexcept { return owner(p).start != nullptr; }

  /// Makes the block at `p` hold `bytes` instead of `old_bytes` where it lies; fragments that are over are free then.
  /// False, nothing changed, when it is too short. It is then deallocated with the new size. Pre: live, the caller's.
  [[nodiscard]] bool try_resize(void* p, std::size_t old_bytes, std::size_t bytes) noexcept;

  /// Gives empty regions back upstream, but for the first. Returns the bytes given back.
  std::size_t trim() noexcept;
  /// Gives everything back upstream; all blocks are void. The next request takes a first region again.
  void release() noexcept;

  [[nodiscard]] std::size_t fragment_bytes() const noexcept { return options_.fragment_bytes; }
  [[nodiscard]] std::size_t page_bytes() const noexcept { return options_.page_bytes; }
  /// Bytes for all blocks, free or not.
  [[nodiscard]] std::size_t capacity() const noexcept { return store_.count().data; }
  /// The largest request that would be served just now, bytes.
  [[nodiscard]] std::size_t largest_free() const noexcept { return store_.longest_free(); }
  /// What is free just now.
  [[nodiscard]] room left() const noexcept { return {store_.count().free, store_.longest_free()}; }
  [[nodiscard]] fragment_searches searches() const noexcept;

  [[nodiscard]] statistics stats() const noexcept override;
  [[nodiscard]] fork_policy at_fork() const noexcept override { return this->at_fork_with_books_in_upstream(); }
  [[nodiscard]] fault check() const noexcept override;
  [[nodiscard]] std::size_t degraded(std::span<degradation> out) const noexcept override;

 private:
  friend base;

  // A region's memory. What upstream gave is one block for the first, whose tables lie behind the data, and two for others.
  struct region {
    void* tables;
    std::size_t tables_bytes;
    std::size_t data_bytes;
  };

  [[nodiscard]] inline void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    return mem::inspected() ? allocate_inspected(bytes, alignment) : take(bytes, alignment, 0);
  }
  inline void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    if (grounds_.has_tenant(p)) [[unlikely]] {
      return grounds_.report({this->name(), mem::describe(mem::fragment_fault::foreign), p, bytes, alignment});
    }
    mem::inspected() ? deallocate_inspected(p, bytes, alignment) : put(p, bytes, alignment, 0);
  }

  [[nodiscard]] std::size_t fragments_for(std::size_t bytes) const noexcept {
    return bytes == 0 ? 1 : (bytes - 1) / options_.fragment_bytes + 1;
  }
  [[nodiscard]] std::size_t count_of(std::size_t data_bytes) const noexcept {
    return data_bytes / options_.fragment_bytes;
  }
  [[nodiscard]] std::ptrdiff_t fragments_in(std::size_t data_bytes) const noexcept {
    return static_cast<std::ptrdiff_t>(count_of(data_bytes));
  }
  [[nodiscard]] std::ptrdiff_t reserved() const noexcept {
    return static_cast<std::ptrdiff_t>(fragments_for(options_.reserve_bytes));
  }
  [[nodiscard]] mem::fragment_shape shape_of(std::size_t data_bytes) const noexcept {
    return {options_.fragment_bytes, options_.page_bytes, count_of(data_bytes)};
  }
  [[nodiscard]] static std::size_t round_tables(std::size_t bytes) noexcept {
    return mem::round_up(bytes, std::size_t{64});
  }

  [[nodiscard]] void* allocate_inspected(std::size_t bytes, std::size_t alignment);
  void deallocate_inspected(void* p, std::size_t bytes, std::size_t alignment) noexcept;
  [[nodiscard]] bool resize_inspected(void* p, std::size_t bytes) noexcept;
  [[nodiscard]] std::size_t more_for(std::size_t bytes) const noexcept;
  void give_back_due(std::size_t more_than) noexcept;
  [[nodiscard]] void* take_now(std::size_t bytes, std::size_t alignment) noexcept;
  [[nodiscard]] void* find(std::size_t n, std::size_t alignment, fragment_tag tag, bool& full) noexcept;
  [[nodiscard]] void* take_slowly(std::size_t n, std::size_t alignment, fragment_tag tag, const char*& reason);
  [[nodiscard]] bool draw(std::size_t n, bool critical) noexcept;
  void undraw(std::size_t n) noexcept;
  [[nodiscard]] bool may_grow() const noexcept;
  void grow(std::size_t n, std::size_t alignment);
  void add_first(std::size_t data_bytes);
  void add_another(std::size_t needed);
  [[nodiscard]] bool revive(std::size_t needed);
  [[noreturn]] void refuse(std::size_t bytes, std::size_t alignment, const char* reason);
  [[nodiscard]] void* obtain(std::size_t bytes, std::size_t alignment);
  void give_back(void* p, std::size_t bytes, std::size_t alignment) noexcept;

  Upstream* const upstream_;
  const fragments options_;
  const std::span<std::byte> own_;  ///< the caller's memory, or empty
  mem::fragment_store store_;
  region regions_[mem::fragment_store::max_regions]{};  ///< of the store's regions
  mem::growth growth_;                                  ///< who adds regions, and takes their data away
  /// Fragments of the first region, got or given back, that are neither out nor in the reserve; kept only if there is one.
  std::atomic<std::ptrdiff_t> spare_{-reserved()};
  mem::tally<mem::threads::any> held_;  ///< bytes from upstream
  mem::tally<mem::threads::any> more_words_;
  mem::tally<mem::threads::any> contended_;
  striped_ledger ledger_;
  grounds grounds_;
  inspected_blocks
      inspected_;  ///< of blocks that were allocated; of what was taken, by its tag, only whether it is out
};

/// Fragments in the name of one owner, as an upstream of its own: what is taken here bears the tag.
///
/// A view: no layer, no figures. Thread class, alignment and errors are those of the fragments.
template <class Upstream = std::pmr::memory_resource>
class fragment_part final : public std::pmr::memory_resource {
 public:
  static constexpr bool thread_safe = true;
  static constexpr std::size_t max_alignment = fragment_resource<Upstream>::max_alignment;
  static constexpr bool zeroed = false;
  static constexpr bool can_release = false;

  /// `of` is borrowed and outlives this object.
  fragment_part(fragment_resource<Upstream>* of, fragment_tag tag, bool critical = false) noexcept
      : of_(of), tag_(tag), critical_(critical) {}

  [[nodiscard]] fragment_tag tag() const noexcept { return tag_; }

 private:
  [[nodiscard]] void* do_allocate(std::size_t bytes, std::size_t alignment) override {
    return of_->take(bytes, alignment, tag_, critical_);
  }
  void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override {
    of_->put(p, bytes, alignment, tag_);
  }
  [[nodiscard]] bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
    return this == &other;
  }

  fragment_resource<Upstream>* const of_;
  const fragment_tag tag_;
  const bool critical_;
};

template <class Upstream>
fragment_resource(Upstream*) -> fragment_resource<Upstream>;
template <class Upstream>
fragment_resource(Upstream*, fragments) -> fragment_resource<Upstream>;
fragment_resource(std::span<std::byte>) -> fragment_resource<>;
fragment_resource(std::span<std::byte>, fragments) -> fragment_resource<>;

template <class Upstream>
fragment_resource<Upstream>::fragment_resource(Upstream* upstream, const fragments& options)
    : base(options.name, upstream),
      upstream_(upstream),
      options_(options),
      grounds_(options.name),
      inspected_(options.name) {
  options_.validate();
  add_first(options_.region_bytes);
}

template <class Upstream>
fragment_resource<Upstream>::fragment_resource(std::span<std::byte> memory, const fragments& options)
    : base(options.name, nullptr),
      upstream_(nullptr),
      options_(options),
      own_(memory),
      grounds_(options.name),
      inspected_(options.name) {
  options_.validate();
  grounds_.add(memory.data(), memory.size());
  add_first(0);
}

template <class Upstream>
fragment_resource<Upstream>::~fragment_resource() {
  if (options_.live_at_end_is_misuse && stats().live_blocks != 0) {
    this->report_live("destroyed with live blocks: their regions are gone", stats());
  }
  release();
  if (mem::inspected()) mem::show_as_is(own_.data(), own_.size());
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
  reason = nullptr;
  const std::size_t n = fragments_for(bytes);
  if (n > mem::fragment_map::max_count || alignment > max_alignment) {
    reason = "no block can be so large or so aligned";
    return nullptr;
  }
  if (!draw(n, critical)) {
    reason = "what is free is in reserve for critical requests";
    return nullptr;
  }
  bool full = false;
  void* p = find(n, alignment, tag, full);
  if (p == nullptr) [[unlikely]] {
    p = take_slowly(n, alignment, tag, reason);
  }
  if (p == nullptr) [[unlikely]] {
    undraw(n);
    return nullptr;
  }
  ledger_.handed_out(bytes);
  if (mem::inspected()) mem::show(p, n * options_.fragment_bytes);
  return p;
}

template <class Upstream>
mem::fragment_fault fragment_resource<Upstream>::try_put(void* p, std::size_t bytes, fragment_tag tag) noexcept {
  const std::size_t n = fragments_for(bytes);
  if (mem::inspected()) {  // before it may be somebody else's
    const mem::fragment_map::found whose = store_.find(p);
    if (whose.start == p && whose.fragments == n && whose.tag == tag) mem::hide(p, n * options_.fragment_bytes);
  }
  const mem::fragment_fault fault = store_.put(p, n, tag);
  if (fault == mem::fragment_fault::none) [[likely]] {
    undraw(n);
    ledger_.taken_back(bytes);
  }
  return fault;
}

template <class Upstream>
void fragment_resource<Upstream>::put(void* p, std::size_t bytes, std::size_t alignment, fragment_tag tag) noexcept {
  const mem::fragment_fault fault = try_put(p, bytes, tag);
  if (fault != mem::fragment_fault::none) [[unlikely]] {
    grounds_.report({this->name(), mem::describe(fault), p, bytes, alignment});
  }
}

// A block that fills its last fragment has no hidden byte behind it: then one more, unless it is whole pages, of which the
// next one is another page's, or that is all there is room for. What waits is given back before more is taken from upstream.
template <class Upstream>
void* fragment_resource<Upstream>::allocate_inspected(std::size_t bytes, std::size_t alignment) {
  std::size_t least = 0;
  if (!mem::checked_round_up(std::max<std::size_t>(bytes, 1), options_.fragment_bytes, least) ||
      least > mem::max_object || alignment > max_alignment) {
    refuse(bytes, alignment, "no block can be so large or so aligned");
  }
  inspected_blocks::room room{.bytes = least + more_for(bytes), .alignment = alignment};
  mem::book_entry* const entry = inspected_.promise();
  if (entry == nullptr) refuse(bytes, alignment, "no memory for what is to be known of the block");
  room.start = take_now(room.bytes, alignment);
  if (room.start == nullptr && inspected_.waiting() != 0) {
    give_back_due(0);
    room.start = take_now(room.bytes, alignment);
  }
  if (room.start == nullptr) {
    room.bytes = least;
    try {
      const char* reason = nullptr;
      room.start = try_take(least, alignment, 0, false, reason);
      if (room.start == nullptr) refuse(bytes, alignment, reason);
    } catch (...) {
      inspected_.withdraw(entry);
      throw;
    }
  }
  mem::hide(room.start, room.bytes);
  return inspected_.admit(entry, room, bytes, alignment);
}

// Bytes of the fragment more.
template <class Upstream>
std::size_t fragment_resource<Upstream>::more_for(std::size_t bytes) const noexcept {
  const bool is_full = bytes != 0 && bytes % options_.fragment_bytes == 0 && bytes % options_.page_bytes != 0;
  return is_full ? options_.fragment_bytes : 0;
}

template <class Upstream>
bool fragment_resource<Upstream>::resize_inspected(void* p, std::size_t bytes) noexcept {
  const std::size_t has = store_.find(p).fragments;
  const std::size_t wanted = std::min(has, fragments_for(bytes + more_for(bytes)));
  inspected_.resize(p, bytes, wanted * options_.fragment_bytes);
  store_.shrink(p, wanted);
  undraw(has - wanted);
  ledger_.resized(has * options_.fragment_bytes, wanted * options_.fragment_bytes);
  return true;
}

// Without asking anybody.
template <class Upstream>
void* fragment_resource<Upstream>::take_now(std::size_t bytes, std::size_t alignment) noexcept {
  const std::size_t n = fragments_for(bytes);
  if (n > mem::fragment_map::max_count || alignment > max_alignment || !draw(n, false)) return nullptr;
  bool full = false;
  void* const p = find(n, alignment, 0, full);
  p != nullptr ? ledger_.handed_out(bytes) : undraw(n);
  return p;
}

template <class Upstream>
void fragment_resource<Upstream>::deallocate_inspected(void* p, std::size_t bytes, std::size_t alignment) noexcept {
  if (inspected_.take_back(p, bytes, alignment)) give_back_due(inspected_blocks::most_held);
}

template <class Upstream>
void fragment_resource<Upstream>::give_back_due(std::size_t more_than) noexcept {
  for (std::size_t left = inspected_.waiting(); left != 0; --left) {
    const inspected_blocks::room due = inspected_.next_due(more_than);
    if (due.start == nullptr) return;
    put(due.start, due.bytes, due.alignment, 0);
  }
}

template <class Upstream>
fragment_owner fragment_resource<Upstream>::owner(const void* p) const noexcept {
  const mem::fragment_map::found found = store_.find(p);
  return {found.start, found.fragments * options_.fragment_bytes, found.tag};
}

template <class Upstream>
bool fragment_resource<Upstream>::try_resize(void* p, std::size_t old_bytes, std::size_t bytes) noexcept {
  const std::size_t has = fragments_for(old_bytes);
  const std::size_t wanted = fragments_for(bytes);
  if (wanted > has) return false;
  if (mem::inspected() && inspected_.bytes_at(p) != 0) return resize_inspected(p, bytes);
  store_.shrink(p, wanted);
  undraw(has - wanted);
  ledger_.resized(old_bytes, bytes);
  return true;
}

// A look at all regions. Without a block, `full` says whether that is certain.
template <class Upstream>
void* fragment_resource<Upstream>::find(std::size_t n, std::size_t alignment, fragment_tag tag, bool& full) noexcept {
  const mem::fragment_map::taken t = store_.take(n, alignment, tag);
  // Each claim looks at a word at least: what is counted is the rest.
  if (t.claim.words > 1) [[unlikely]] {
    more_words_.add(t.claim.words - 1);
  }
  full = t.claim.outcome == mem::claim_outcome::full;
  if (t.claim.outcome == mem::claim_outcome::contended) contended_.add(1);
  return t.block;
}

// Whether a request may go on, the reserve considered; then it has been counted.
template <class Upstream>
bool fragment_resource<Upstream>::draw(std::size_t n, bool critical) noexcept {
  if (options_.reserve_bytes == 0) return true;
  const auto wanted = static_cast<std::ptrdiff_t>(n);
  if (spare_.fetch_sub(wanted, std::memory_order_relaxed) >= wanted || critical) return true;
  undraw(n);
  return false;
}

template <class Upstream>
void fragment_resource<Upstream>::undraw(std::size_t n) noexcept {
  if (options_.reserve_bytes != 0) spare_.fetch_add(static_cast<std::ptrdiff_t>(n), std::memory_order_relaxed);
}

template <class Upstream>
void* fragment_resource<Upstream>::take_slowly(std::size_t n, std::size_t alignment, fragment_tag tag,
                                               const char*& reason) {
  // An answer that leaves it open means that others moved on meanwhile.
  constexpr int patience = 1000;
  for (int open = 0; reason == nullptr;) {
    const mem::growth::moment seen = growth_.now();
    bool full = false;
    if (void* const p = find(n, alignment, tag, full); p != nullptr) return p;
    if (!full) {
      if (++open == patience) reason = "other threads kept changing what is free";
    } else if (!may_grow()) {
      reason = "no run of free fragments is long enough";
    } else if (mem::growth::under_way(seen)) {
      if (growth_.is_mine()) {
        reason = "no run is long enough, and this very thread is getting a region";
      } else if (!growth_.wait(seen)) {
        reason = "the thread that was to get a region for all who waited got none";
      }
    } else if (growth_.begin(seen)) {
      grow(n, alignment);
    }
  }
  return nullptr;
}

// Ends the calling thread's turn, whatever comes of it.
template <class Upstream>
void fragment_resource<Upstream>::grow(std::size_t n, std::size_t alignment) {
  // Data starts at a page; what lies in front of a larger alignment is lost to this request.
  const std::size_t slack = alignment > options_.page_bytes ? alignment : 0;
  try {
    std::size_t needed = 0;
    if (!mem::checked_round_up(n * options_.fragment_bytes, options_.page_bytes, needed) ||
        !mem::checked_add(needed, slack, needed) || count_of(needed) > mem::fragment_map::max_count) {
      throw allocation_error(this->name(), n * options_.fragment_bytes, alignment, "no region can be so large");
    }
    if (store_.regions() == 0) {
      add_first(std::max(needed, options_.region_bytes));
    } else if (!revive(needed)) {
      add_another(needed);
    }
  } catch (...) {
    growth_.end(false);
    undraw(n);
    ledger_.failed();
    throw;
  }
  growth_.end(true);
}

template <class Upstream>
bool fragment_resource<Upstream>::may_grow() const noexcept {
  if (upstream_ == nullptr) return false;
  const std::size_t count = store_.regions();
  if (count == 0 || count < options_.max_regions) return true;
  for (std::size_t i = 1; i < count; ++i) {
    if (store_.region(i).base() == nullptr) return true;
  }
  return false;
}

template <class Upstream>
void fragment_resource<Upstream>::add_first(std::size_t data_bytes) {
  std::byte* data = nullptr;
  std::size_t tables = 0;
  if (upstream_ != nullptr) {
    tables = round_tables(mem::fragment_map::table_bytes(count_of(data_bytes)));
    data = static_cast<std::byte*>(obtain(data_bytes + tables, options_.page_bytes));
  } else {
    std::size_t rest = 0;
    data = options_.align_own(own_, rest);
    for (data_bytes = mem::round_down(rest, options_.page_bytes);; data_bytes -= options_.page_bytes) {
      if (data_bytes == 0)
        throw std::invalid_argument("strata: no page of fragments fits into so little memory, with its tables");
      tables = round_tables(mem::fragment_map::table_bytes(count_of(data_bytes)));
      if (data_bytes + tables <= rest) break;
    }
  }
  spare_.fetch_add(fragments_in(data_bytes) - fragments_in(regions_[0].data_bytes), std::memory_order_relaxed);
  regions_[0] = {nullptr, tables, data_bytes};
  store_.add(mem::fragment_map::make(data + data_bytes, data, shape_of(data_bytes)));
  if (mem::inspected()) mem::hide(data, data_bytes);
}

// As large as the largest before; as large as needed, where that is refused.
template <class Upstream>
void fragment_resource<Upstream>::add_another(std::size_t needed) {
  std::size_t ahead = options_.region_bytes;
  for (std::size_t i = 0; i < store_.regions(); ++i) ahead = std::max(ahead, regions_[i].data_bytes);
  ahead = std::min(ahead, mem::fragment_map::max_count * options_.fragment_bytes);
  for (std::size_t data_bytes = std::max(needed, ahead);; data_bytes = needed) {
    const std::size_t table_bytes = mem::fragment_map::table_bytes(count_of(data_bytes));
    void* tables = nullptr;
    try {
      tables = obtain(table_bytes, alignof(mem::fragment_map));
      void* const data = obtain(data_bytes, options_.page_bytes);
      regions_[store_.regions()] = {tables, table_bytes, data_bytes};
      if (mem::inspected()) mem::hide(data, data_bytes);
      store_.add(mem::fragment_map::make(tables, data, shape_of(data_bytes)));
      return;
    } catch (...) {
      if (tables != nullptr) give_back(tables, table_bytes, alignof(mem::fragment_map));
      if (data_bytes == needed) throw;
    }
  }
}

// Gets data for a region that has none, if there is one large enough.
template <class Upstream>
bool fragment_resource<Upstream>::revive(std::size_t needed) {
  for (std::size_t i = 1; i < store_.regions(); ++i) {
    if (store_.region(i).base() != nullptr || regions_[i].data_bytes < needed) continue;
    void* const data = obtain(regions_[i].data_bytes, options_.page_bytes);
    if (mem::inspected()) mem::hide(data, regions_[i].data_bytes);
    store_.region(i).revive(data);
    return true;
  }
  if (store_.regions() < options_.max_regions) return false;
  throw allocation_error(this->name(), needed, options_.page_bytes, "there are max_regions regions already");
}

template <class Upstream>
std::size_t fragment_resource<Upstream>::trim() noexcept {
  if (growth_.is_mine()) return 0;
  give_back_due(0);
  mem::take_turn(growth_);
  std::size_t freed = 0;
  for (std::size_t i = 1; i < store_.regions(); ++i) {
    void* const data = store_.region(i).retire();
    if (data == nullptr) continue;
    give_back(data, regions_[i].data_bytes, options_.page_bytes);
    freed += regions_[i].data_bytes;
  }
  growth_.end(true);
  return freed;
}

template <class Upstream>
void fragment_resource<Upstream>::release() noexcept {
  ledger_.released();
  inspected_.forget_all();
  spare_.store(fragments_in(regions_[0].data_bytes) - reserved(), std::memory_order_relaxed);
  const std::size_t count = store_.regions();
  std::byte* const first = count == 0 ? nullptr : store_.region(0).base();
  // Tables last: they say where the data is.
  for (std::size_t i = 1; i < count; ++i) {
    const region gone = regions_[i];
    if (void* const data = store_.region(i).base(); data != nullptr)
      give_back(data, gone.data_bytes, options_.page_bytes);
    give_back(gone.tables, gone.tables_bytes, alignof(mem::fragment_map));
  }
  store_.forget();
  if (first == nullptr) return;
  if (upstream_ != nullptr) {
    give_back(first, regions_[0].data_bytes + regions_[0].tables_bytes, options_.page_bytes);
  } else {
    add_first(0);  // it fitted before
  }
}

template <class Upstream>
void fragment_resource<Upstream>::refuse(std::size_t bytes, std::size_t alignment, const char* reason) {
  ledger_.failed();
  fail(options_.when_exhausted, {this->name(), bytes, alignment, reason, left()});
}

template <class Upstream>
void* fragment_resource<Upstream>::obtain(std::size_t bytes, std::size_t alignment) {
  void* const p = upstream_->allocate(bytes, alignment);
  if (options_.prefault) mem::touch(p, bytes);
  held_.add(bytes);
  grounds_.add(p, bytes);
  return p;
}

template <class Upstream>
void fragment_resource<Upstream>::give_back(void* p, std::size_t bytes, std::size_t alignment) noexcept {
  held_.subtract(bytes);
  if (mem::inspected()) mem::show(p, bytes);
  grounds_.remove(p, bytes);
  upstream_->deallocate(p, bytes, alignment);
}

template <class Upstream>
fragment_searches fragment_resource<Upstream>::searches() const noexcept {
  const statistics figures = ledger_.figures();
  const std::size_t claims = figures.allocations + figures.failures;
  return {claims, claims + more_words_.get(), contended_.get()};
}

template <class Upstream>
statistics fragment_resource<Upstream>::stats() const noexcept {
  statistics figures = ledger_.figures();
  figures.upstream = upstream_ != nullptr ? held_.get() : own_.size();
  figures.kept = store_.count().free;
  figures.overhead = figures.upstream - figures.live - figures.kept;
  return inspected_.over(figures);
}

template <class Upstream>
fault fragment_resource<Upstream>::check() const noexcept {
  if (const char* const wrong = store_.check(); wrong != nullptr) return {wrong, nullptr};
  return base::check();
}

template <class Upstream>
std::size_t fragment_resource<Upstream>::degraded(std::span<degradation> out) const noexcept {
  const auto told = [](mem::os_error cause, const char* reason) {
    return degradation{reason, cause, cause.failed() ? std::size_t{1} : std::size_t{0}};
  };
  return tell({told(store_.unknown_to_fork(),
                    "its regions are not known to fork(): a child may lose fragments that other "
                    "threads had in hand"),
               told(growth_.unknown_to_fork(),
                    "growing is not known to fork(): a child forked meanwhile may hang; do not fork")},
              out);
}

static_assert(layered<fragment_resource<>>);

}  // namespace strata::pmr
