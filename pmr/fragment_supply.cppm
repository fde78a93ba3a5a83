// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

export module strata.pmr:fragment_supply;

import :allocation_error;
import :fragment_options;
import :grounds;
import :option_check;

import strata.mem;

/// Runs of fragments for the layer above: mem::fragment_store, with regions from an upstream or in the caller's memory, and a
/// reserve.
///
/// Growth: one region at a time. When threads find no run, one asks upstream, once, holding no lock; the others wait for it
/// and share what comes of it, failure included. Upstream may let the program come back here meanwhile: what comes back then
/// is taken; a request that finds no run fails, and trim() gives nothing back.
///
/// Regions but the first go back by trim(), once they are empty; all by release(). With a decay, those also that nobody
/// needed for so long: a look, at tick() or when a run comes back and a slice has passed, lets empty regions rest
/// (mem:fragment_map); who finds no run elsewhere wakes one rather than ask upstream; one that rested a whole decay goes.
///
/// A look that others disturbed leaves open whether there is room. One of them may have been stopped in the middle of a step,
/// and every look is disturbed until it runs again: so a request looks again, lets others run meanwhile, and fails only when
/// that lasts (mem:patience): a second, and ten thousand looks.
///
/// While an inspector runs the process, free fragments are hidden. Runs are the layer's to show.
///
/// Any thread; release() is for when no other call is under way.
export namespace strata::pmr {

template <class Upstream>
class fragment_supply {
 public:
  /// Throw std::invalid_argument for options that cannot be; the first also what upstream throws for its first region.
  fragment_supply(Upstream* upstream, const fragments& options);
  fragment_supply(std::span<std::byte> memory, const fragments& options);
  ~fragment_supply();
  fragment_supply(const fragment_supply&) = delete;
  fragment_supply& operator=(const fragment_supply&) = delete;

  static constexpr std::size_t max_alignment = std::size_t{1} << 46;

  /// A run of `n` fragments; a critical one may come out of the reserve. Null, and why, where there is no room. Throws only
  /// what upstream throws when there was to be more of it.
  [[nodiscard]] inline void* take(std::size_t n, std::size_t alignment, mem::fragment_tag tag, bool critical,
                                  const char*& reason) {
    reason = draw(n, alignment, critical);
    if (reason != nullptr) [[unlikely]] {
      return nullptr;
    }
    bool full = false;
    void* const p = find(n, alignment, tag, full);
    return p != nullptr ? p : take_slowly(n, alignment, tag, reason);
  }
  /// The same for nobody in particular and without asking anybody.
  [[nodiscard]] void* take_now(std::size_t n, std::size_t alignment) noexcept;
  /// Takes a run back. A fault changes nothing.
  [[nodiscard]] inline mem::fragment_fault put(void* p, std::size_t n, mem::fragment_tag tag) noexcept;
  /// Takes back all but the first `n` fragments of a run that has `has`. Pre: live, the caller's.
  void shrink(void* p, std::size_t has, std::size_t n) noexcept {
    store_.shrink(p, n);
    undraw(has - n);
  }

  /// Gives back empty regions but the first; returns their bytes.
  std::size_t trim() noexcept;
  /// The same, but only what was of no use for the decay, at `now`.
  std::size_t tick(std::uint64_t now) noexcept;
  std::size_t tick() noexcept { return timer_.is_on() ? tick(mem::monotonic_ns()) : 0; }
  /// For who puts runs back, once that is all.
  inline void look_if_due() noexcept {
    if (std::uint64_t now = 0; timer_.is_due(now)) tick(now);
  }
  /// Gives everything back; all runs are void. The next request takes a first region again.
  void release() noexcept;

  /// What it has of upstream, by which it is known to others.
  [[nodiscard]] grounds& holdings() noexcept { return grounds_; }
  [[nodiscard]] const grounds& holdings() const noexcept { return grounds_; }
  [[nodiscard]] const fragments& options() const noexcept { return options_; }
  [[nodiscard]] const mem::fragment_store& store() const noexcept { return store_; }
  /// Bytes from upstream, or of the caller's memory.
  [[nodiscard]] std::size_t held() const noexcept { return upstream_ != nullptr ? held_.get() : own_.size(); }
  /// Words of 64 fragments looked at beyond one a request, and answers that left open whether there was room.
  [[nodiscard]] std::size_t more_words() const noexcept { return more_words_.get(); }
  [[nodiscard]] std::size_t contended() const noexcept { return contended_.get(); }
  [[nodiscard]] mem::os_error growth_unknown_to_fork() const noexcept { return growth_.unknown_to_fork(); }

 private:
  // A region's memory. What upstream gave is one block for the first, whose tables lie behind the data, and two for others.
  struct region {
    void* tables;
    std::size_t tables_bytes;
    std::size_t data_bytes;
    mem::idleness idle{};  ///< as long as it rests
  };

  [[nodiscard]] std::size_t count_of(std::size_t data_bytes) const noexcept {
    return data_bytes / options_.fragment_bytes;
  }
  [[nodiscard]] std::ptrdiff_t fragments_in(std::size_t data_bytes) const noexcept {
    return static_cast<std::ptrdiff_t>(count_of(data_bytes));
  }
  [[nodiscard]] std::ptrdiff_t reserved() const noexcept {
    const std::size_t bytes = options_.reserve_bytes;
    return bytes == 0 ? 1 : fragments_in(bytes - 1) + 1;
  }
  [[nodiscard]] mem::fragment_shape shape_of(std::size_t data_bytes) const noexcept {
    return {options_.fragment_bytes, options_.page_bytes, count_of(data_bytes)};
  }
  [[nodiscard]] static std::size_t round_tables(std::size_t bytes) noexcept {
    return mem::round_up(bytes, std::size_t{64});
  }
  [[nodiscard]] static fragments valid(fragments options) {
    options.validate();
    return options;
  }

  [[nodiscard]] inline const char* draw(std::size_t n, std::size_t alignment, bool critical) noexcept;
  inline void undraw(std::size_t n) noexcept;
  [[nodiscard]] inline void* find(std::size_t n, std::size_t alignment, mem::fragment_tag tag, bool& full) noexcept;
  [[nodiscard, gnu::noinline]] void* take_slowly(std::size_t n, std::size_t alignment, mem::fragment_tag tag,
                                                 const char*& reason);
  [[nodiscard]] void* find_or_grow(std::size_t n, std::size_t alignment, mem::fragment_tag tag, const char*& reason);
  [[nodiscard]] bool may_grow() const noexcept;
  void grow(std::size_t n, std::size_t alignment);
  void add_first(std::size_t data_bytes);
  [[nodiscard]] bool add_own() noexcept;
  void enter_first(std::byte* data, std::size_t data_bytes, std::size_t tables) noexcept;
  void add_another(std::size_t needed);
  [[nodiscard]] bool wake(std::size_t needed) noexcept;
  [[nodiscard]] bool revive(std::size_t needed);
  std::size_t retire(std::size_t i) noexcept;
  std::size_t let_go(std::size_t i, std::uint64_t now) noexcept;
  [[nodiscard]] void* obtain(std::size_t bytes, std::size_t alignment);
  void give_back(void* p, std::size_t bytes, std::size_t alignment) noexcept;

  Upstream* const upstream_;
  const fragments options_;
  const std::span<std::byte> own_;  ///< the caller's memory, or empty
  mem::fragment_store store_;
  region regions_[mem::fragment_store::max_regions]{};  ///< of the store's regions
  mem::growth growth_;  ///< who adds regions, lets them rest and wakes them, and takes their data away
  const mem::decay_period decay_{options_.max_regions > 1 ? options_.decay_ms : mem::no_decay};
  mem::decay_timer<mem::threads::any> timer_{decay_};
  /// Fragments of the first region, got or given back, that are neither out nor in the reserve; kept only if there is one.
  std::atomic<std::ptrdiff_t> spare_{-reserved()};
  grounds grounds_{options_.name};
  mem::tally<mem::threads::any> held_;  ///< bytes from upstream
  mem::tally<mem::threads::any> more_words_;
  mem::tally<mem::threads::any> contended_;
};

template <class Upstream>
fragment_supply<Upstream>::fragment_supply(Upstream* upstream, const fragments& options)
    : upstream_(upstream), options_(valid(options)) {
  add_first(options_.region_bytes);
}

template <class Upstream>
fragment_supply<Upstream>::fragment_supply(std::span<std::byte> memory, const fragments& options)
    : upstream_(nullptr), options_(valid(options)), own_(memory) {
  grounds_.add(memory.data(), memory.size());
  option_check("fragments", options_.name)
      .require(add_own(), "memory", memory.size(),
               "no page of fragments fits into so many bytes, with its tables; give it more");
}

template <class Upstream>
fragment_supply<Upstream>::~fragment_supply() {
  release();
  if (mem::inspected()) mem::show_as_is(own_.data(), own_.size());
}

template <class Upstream>
void* fragment_supply<Upstream>::take_now(std::size_t n, std::size_t alignment) noexcept {
  if (draw(n, alignment, false) != nullptr) return nullptr;
  bool full = false;
  void* const p = find(n, alignment, 0, full);
  if (p == nullptr) undraw(n);
  return p;
}

template <class Upstream>
inline mem::fragment_fault fragment_supply<Upstream>::put(void* p, std::size_t n, mem::fragment_tag tag) noexcept {
  if (mem::inspected()) {  // before it may be somebody else's
    const mem::fragment_map::found whose = store_.find(p);
    if (whose.start == p && whose.fragments == n && whose.tag == tag) mem::hide(p, n * options_.fragment_bytes);
  }
  const mem::fragment_fault fault = store_.put(p, n, tag);
  if (fault == mem::fragment_fault::none) [[likely]] {
    undraw(n);
  }
  return fault;
}

// Why a request may not go on, as no block can be so, or the reserve considered; or null: then it has been counted.
template <class Upstream>
inline const char* fragment_supply<Upstream>::draw(std::size_t n, std::size_t alignment, bool critical) noexcept {
  if (n > mem::fragment_map::max_count || alignment > max_alignment) [[unlikely]] {
    return "no block can be so large or so aligned";
  }
  if (options_.reserve_bytes == 0) return nullptr;
  const auto wanted = static_cast<std::ptrdiff_t>(n);
  if (spare_.fetch_sub(wanted, std::memory_order_relaxed) >= wanted || critical) return nullptr;
  undraw(n);
  return "what is free is in reserve for critical requests";
}

template <class Upstream>
inline void fragment_supply<Upstream>::undraw(std::size_t n) noexcept {
  if (options_.reserve_bytes != 0) spare_.fetch_add(static_cast<std::ptrdiff_t>(n), std::memory_order_relaxed);
}

// A look at all regions. Without a block, `full` says whether that is certain.
template <class Upstream>
inline void* fragment_supply<Upstream>::find(std::size_t n, std::size_t alignment, mem::fragment_tag tag,
                                             bool& full) noexcept {
  const mem::fragment_map::taken t = store_.take(n, alignment, tag);
  // Each claim looks at a word at least: what is counted is the rest.
  if (t.claim.words > 1) [[unlikely]] {
    more_words_.add(t.claim.words - 1);
  }
  full = t.claim.outcome == mem::claim_outcome::full;
  if (t.claim.outcome == mem::claim_outcome::contended) contended_.add(1);
  return t.block;
}

template <class Upstream>
void* fragment_supply<Upstream>::take_slowly(std::size_t n, std::size_t alignment, mem::fragment_tag tag,
                                             const char*& reason) {
  void* p = nullptr;
  try {
    p = find_or_grow(n, alignment, tag, reason);
  } catch (...) {
    undraw(n);
    throw;
  }
  if (p == nullptr) undraw(n);
  return p;
}

template <class Upstream>
void* fragment_supply<Upstream>::find_or_grow(std::size_t n, std::size_t alignment, mem::fragment_tag tag,
                                              const char*& reason) {
  mem::patience<> patience;
  while (reason == nullptr) {
    const mem::growth::moment seen = growth_.now();
    bool full = false;
    if (void* const p = find(n, alignment, tag, full); p != nullptr) return p;
    if (!full) {
      if (!patience.lasts()) reason = "other threads kept changing what is free, for a second or more";
    } else if (mem::growth::under_way(seen)) {
      if (growth_.is_mine()) {
        reason = "no run is long enough, and this very thread is getting a region";
      } else if (!growth_.wait(seen)) {
        reason = "the thread that was to get a region for all who waited got none";
      }
    } else if (!may_grow()) {
      // If somebody had a turn since, what we found full may have been woken.
      if (growth_.now() == seen) reason = "no run of free fragments is long enough";
    } else if (growth_.begin(seen)) {
      grow(n, alignment);
    }
  }
  return nullptr;
}

// Ends the calling thread's turn, whatever comes of it.
template <class Upstream>
void fragment_supply<Upstream>::grow(std::size_t n, std::size_t alignment) {
  // Data starts at a page; what lies in front of a larger alignment is lost to this request.
  const std::size_t slack = alignment > options_.page_bytes ? alignment : 0;
  try {
    std::size_t needed = 0;
    if (!mem::checked_round_up(n * options_.fragment_bytes, options_.page_bytes, needed) ||
        !mem::checked_add(needed, slack, needed) || count_of(needed) > mem::fragment_map::max_count) {
      throw allocation_error(options_.name, n * options_.fragment_bytes, alignment, "no region can be so large");
    }
    if (store_.regions() == 0) {
      add_first(std::max(needed, options_.region_bytes));
    } else if (!wake(needed) && !revive(needed)) {
      add_another(needed);
    }
  } catch (...) {
    growth_.end(false);
    throw;
  }
  growth_.end(true);
}

template <class Upstream>
bool fragment_supply<Upstream>::may_grow() const noexcept {
  if (upstream_ == nullptr) return false;
  const std::size_t count = store_.regions();
  if (count == 0 || count < options_.max_regions) return true;
  for (std::size_t i = 1; i < count; ++i) {
    if (store_.region(i).is_resting()) return true;  // with its data or without
  }
  return false;
}

template <class Upstream>
void fragment_supply<Upstream>::add_first(std::size_t data_bytes) {
  const std::size_t tables = round_tables(mem::fragment_map::table_bytes(count_of(data_bytes)));
  enter_first(static_cast<std::byte*>(obtain(data_bytes + tables, options_.page_bytes)), data_bytes, tables);
}

// As many pages of the caller's memory as there are, with their tables behind them; false: none.
template <class Upstream>
bool fragment_supply<Upstream>::add_own() noexcept {
  std::size_t rest = 0;
  std::byte* const data = options_.align_own(own_, rest);
  for (std::size_t data_bytes = mem::round_down(rest, options_.page_bytes); data_bytes != 0;
       data_bytes -= options_.page_bytes) {
    const std::size_t tables = round_tables(mem::fragment_map::table_bytes(count_of(data_bytes)));
    if (data_bytes + tables > rest) continue;
    enter_first(data, data_bytes, tables);
    return true;
  }
  return false;
}

template <class Upstream>
void fragment_supply<Upstream>::enter_first(std::byte* data, std::size_t data_bytes, std::size_t tables) noexcept {
  spare_.fetch_add(fragments_in(data_bytes) - fragments_in(regions_[0].data_bytes), std::memory_order_relaxed);
  regions_[0] = {nullptr, tables, data_bytes};
  store_.add(mem::fragment_map::make(data + data_bytes, data, shape_of(data_bytes)));
  if (mem::inspected()) mem::hide(data, data_bytes);
}

// As large as the largest before; as large as needed, where that is refused.
template <class Upstream>
void fragment_supply<Upstream>::add_another(std::size_t needed) {
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

// The first that rests and is large enough: so it is the same ones that rest while the load is the same.
template <class Upstream>
bool fragment_supply<Upstream>::wake(std::size_t needed) noexcept {
  for (std::size_t i = 1; i < store_.regions(); ++i) {
    mem::fragment_map& region = store_.region(i);
    if (region.base() == nullptr || !region.is_resting() || regions_[i].data_bytes < needed) continue;
    region.wake();
    return true;
  }
  return false;
}

// Gets data for a region that has none, if there is one large enough.
template <class Upstream>
bool fragment_supply<Upstream>::revive(std::size_t needed) {
  for (std::size_t i = 1; i < store_.regions(); ++i) {
    if (store_.region(i).base() != nullptr || regions_[i].data_bytes < needed) continue;
    void* const data = obtain(regions_[i].data_bytes, options_.page_bytes);
    if (mem::inspected()) mem::hide(data, regions_[i].data_bytes);
    store_.region(i).revive(data);
    return true;
  }
  if (store_.regions() < options_.max_regions) return false;
  throw allocation_error(options_.name, needed, options_.page_bytes, "there are max_regions regions already");
}

template <class Upstream>
std::size_t fragment_supply<Upstream>::trim() noexcept {
  if (growth_.is_mine()) return 0;
  mem::take_turn(growth_);
  std::size_t freed = 0;
  for (std::size_t i = 1; i < store_.regions(); ++i) freed += retire(i);
  growth_.end(true);
  return freed;
}

template <class Upstream>
std::size_t fragment_supply<Upstream>::tick(std::uint64_t now) noexcept {
  if (!timer_.is_on()) return 0;
  timer_.looked(now);
  // Somebody else's turn may be long; there will be another look.
  const mem::growth::moment seen = growth_.now();
  if (mem::growth::under_way(seen) || !growth_.begin(seen)) return 0;
  std::size_t freed = 0;
  for (std::size_t i = 1; i < store_.regions(); ++i) freed += let_go(i, now);
  growth_.end(true);
  return freed;
}

// A region that comes to rest now was of use just before.
template <class Upstream>
std::size_t fragment_supply<Upstream>::let_go(std::size_t i, std::uint64_t now) noexcept {
  mem::fragment_map& region = store_.region(i);
  if (region.base() == nullptr) return 0;
  const bool was_used = region.rest();
  return region.is_resting() && regions_[i].idle.look(decay_, now, was_used) ? retire(i) : 0;
}

// Takes the data of a region away, if that is empty. Returns its bytes.
template <class Upstream>
std::size_t fragment_supply<Upstream>::retire(std::size_t i) noexcept {
  void* const data = store_.region(i).retire();
  if (data == nullptr) return 0;
  give_back(data, regions_[i].data_bytes, options_.page_bytes);
  return regions_[i].data_bytes;
}

template <class Upstream>
void fragment_supply<Upstream>::release() noexcept {
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
    (void)add_own();  // it fitted before
  }
}

template <class Upstream>
void* fragment_supply<Upstream>::obtain(std::size_t bytes, std::size_t alignment) {
  void* const p = upstream_->allocate(bytes, alignment);
  if (options_.prefault) mem::touch(p, bytes);
  held_.add(bytes);
  grounds_.add(p, bytes);
  return p;
}

template <class Upstream>
void fragment_supply<Upstream>::give_back(void* p, std::size_t bytes, std::size_t alignment) noexcept {
  held_.subtract(bytes);
  if (mem::inspected()) mem::show(p, bytes);
  grounds_.remove(p, bytes);
  upstream_->deallocate(p, bytes, alignment);
}

}  // namespace strata::pmr
