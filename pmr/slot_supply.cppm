// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory_resource>

export module strata.pmr:slot_supply;

import :allocation_error;
import :grounds;
import :layer;
import :option_check;

import strata.mem;

/// Slots of one size for layers above: mem::cached_slots, with chunks from an upstream.
///
/// Growth: one chunk at a time. When threads find no free slot, one asks upstream, once, holding no lock; the others
/// wait for it and share what comes of it, failure included. A cache for a thread, and one to spare, are asked for when
/// there was a slot; without them all works, slower.
///
/// Upstream may let the program come back here while a chunk is got: what comes back then is taken; a request that finds
/// nothing free fails, and trim() gives nothing back.
///
/// While an inspector runs the process (mem:inspector), a layer may want every call to come the slow way, and chunks to be
/// hidden: then it has no caches. Slots are the layer's to show.
///
/// Chunks go back by trim() and release(); with a decay those also that were of no use for so long. Once in a slice of the
/// decay, at tick() or where a cache runs dry or over, chunks whose slots are all free are let rest (mem:slot_pool); who needs
/// one wakes it rather than ask upstream. What rested all the while was of no use: mem:decay says how much that is. Caches
/// that their threads did not use for a slice are emptied before, as by trim(). Thread class of mem::cached_slots; release() is for when no other call is
/// under way.
export namespace strata::pmr {

template <class Upstream, mem::threads Threads>
class slot_supply {
 public:
  /// Throws std::invalid_argument for slots that cannot be. `name` is for errors. `held` gets to know what there is of
  /// upstream.
  slot_supply(const char* name, Upstream* upstream, const mem::slot_shape& shape, bool hides = false,
              mem::decay_period period = mem::decay_period(mem::no_decay), grounds* held = nullptr)
      : name_(name),
        upstream_(upstream),
        hides_(hides),
        grounds_(held),
        slots_(valid(name, shape)),
        without_caches_(hides),
        decay_(period),
        timer_(period) {}
  ~slot_supply() { release(); }
  slot_supply(const slot_supply&) = delete;
  slot_supply& operator=(const slot_supply&) = delete;

  /// A slot, of which `bytes` are asked for. Throws what upstream throws, or allocation_error when the thread waited
  /// for could not get a chunk.
  [[nodiscard]] inline void* take(std::size_t bytes) {
    void* const p = take_easily(bytes);
    return p != nullptr ? p : refill(bytes);
  }
  /// The same, if that is easy; else null, and refill() will.
  [[nodiscard]] inline void* take_easily(std::size_t bytes) noexcept { return slots_.take(bytes); }
  [[nodiscard, gnu::noinline]] void* refill(std::size_t bytes);
  /// Takes a slot back if that is easy; else false, and put() will do or say.
  [[nodiscard]] inline bool put_easily(void* p, std::size_t bytes) noexcept { return slots_.put_easily(p, bytes); }
  [[nodiscard]] mem::slot_fault put(void* p, std::size_t bytes) noexcept {
    const mem::slot_fault fault = slots_.put(p, bytes);
    look_if_due();
    return fault;
  }

  /// Makes `n` more slots ready, at least; what was got before upstream failed stays. No decay takes so many chunks away
  /// before trim() or release().
  void expand(std::size_t n);
  /// Gives back what the calling thread's cache holds: for a thread that will be idle.
  void flush_this_thread() noexcept { slots_.drain_mine(); }
  /// Gives back chunks whose slots are all free; what threads at rest have in their caches counts as free, where the
  /// system has a barrier for all threads. Returns the bytes given back.
  std::size_t trim() noexcept;
  /// Gives back chunks that were of no use for the decay, at `now`. Returns the bytes given back. O(slots in no cache) once in
  /// a slice, but for chunks that rest.
  std::size_t tick(std::uint64_t now) noexcept;
  std::size_t tick() noexcept { return timer_.is_on() ? tick(mem::monotonic_ns()) : 0; }
  /// Gives everything back; all slots are void.
  void release() noexcept;

  [[nodiscard]] const mem::cached_slots<Threads>& slots() const noexcept { return slots_; }
  [[nodiscard]] const mem::slot_shape& shape() const noexcept { return slots_.pool().shape(); }
  [[nodiscard]] const mem::growth_for<Threads>& growth() const noexcept { return growth_; }
  /// Why fork() does not know of what may be under way, if it does not.
  [[nodiscard]] mem::os_error unknown_to_fork() const noexcept {
    const mem::os_error cause = growth_.unknown_to_fork();
    return cause.failed() ? cause : books_.unknown_to_fork();
  }

  struct figures {
    std::size_t upstream;  ///< bytes held
    std::size_t kept;      ///< bytes of free slots
    std::size_t live;      ///< bytes handed out, as asked for
    std::size_t peak;      ///< highest `live` seen: looked at when a chunk is added, and here
    std::size_t out;       ///< slots handed out
    std::size_t taken;     ///< how often one was
    std::size_t failures;  ///< how often none could be
  };
  [[nodiscard]] figures count() const noexcept;

 private:
  using cache = typename mem::cached_slots<Threads>::cache;

  [[nodiscard]] static mem::slot_shape valid(const char* name, const mem::slot_shape& shape);
  [[nodiscard]] bool wake() noexcept;
  void grow();
  void let_rest() noexcept;
  std::size_t give_back_resting(std::size_t count) noexcept;
  inline void look_if_due() noexcept {
    if (std::uint64_t now = 0; timer_.is_due(now)) tick(now);
  }
  void equip() noexcept;
  [[nodiscard]] void* obtain(std::size_t bytes, std::size_t alignment);
  void give_back(void* p, std::size_t bytes, std::size_t alignment) noexcept;
  void wait_for(mem::growth::moment seen);

  const char* const name_;
  Upstream* const upstream_;
  const bool hides_;
  grounds* const grounds_;  ///< or null
  mem::cached_slots<Threads> slots_;
  mem::growth_for<Threads> growth_;  ///< who adds chunks and takes them away
  mem::mutex_for<Threads> books_{
      "of a cache's books"};  ///< what that changes in slots_: no fork comes between. Never held while upstream is asked
  mem::tally<Threads> held_;  ///< bytes from upstream
  mem::tally<Threads> failures_;
  mutable mem::tally<Threads> peak_;
  std::atomic<bool> without_caches_;  ///< upstream refused one since it gave a chunk, or none is wanted
  mem::decay decay_;                  ///< of chunks that rest, in chunks; like the next, of who has the turn in growth_
  std::size_t low_ = 0;               ///< least chunks that rested since the last look
  mem::decay_timer<Threads> timer_;
  mem::tally<Threads> reserved_;  ///< chunks, by expand()
};

template <class Upstream, mem::threads Threads>
mem::slot_shape slot_supply<Upstream, Threads>::valid(const char* name, const mem::slot_shape& shape) {
  const option_check check("cache", name);
  check.require(shape.slots != 0, "no chunk can hold such items, or so many; make them smaller, or ask for fewer");
  check.require(shape.chunk_bytes <= max_alignment_of<Upstream>, "chunk_bytes", shape.chunk_bytes,
                "upstream cannot align chunks, which are aligned to their size; make them smaller");
  return shape;
}

template <class Upstream, mem::threads Threads>
void* slot_supply<Upstream, Threads>::refill(std::size_t bytes) {
  for (;;) {
    const mem::growth::moment seen = growth_.now();
    if (void* const p = slots_.refill(bytes); p != nullptr) {
      equip();
      look_if_due();
      return p;
    }
    try {
      if (growth_.under_way(seen)) {
        wait_for(seen);
      } else if (growth_.begin(seen)) {
        wake() ? growth_.end(true) : grow();
      }
    } catch (...) {
      failures_.add(1);
      throw;
    }
  }
}

// What rests serves before upstream is asked.
template <class Upstream, mem::threads Threads>
bool slot_supply<Upstream, Threads>::wake() noexcept {
  auto& pool = slots_.pool();
  const mem::lock held(books_);
  if (!pool.wake()) return false;
  low_ = std::min<std::size_t>(low_, pool.resting());
  return true;
}

// Upstream first, books second: who waits is woken when either is done. Ends the turn.
template <class Upstream, mem::threads Threads>
void slot_supply<Upstream, Threads>::grow() {
  auto& pool = slots_.pool();
  void* chunk = nullptr;
  void* words = nullptr;
  const std::size_t chunk_bytes = shape().chunk_bytes;
  const std::size_t words_bytes = pool.wanted_words();
  try {
    if (!pool.may_add()) {
      throw allocation_error(name_, shape().slot_bytes, shape().alignment(), "no pool can hold so many items");
    }
    chunk = obtain(chunk_bytes, chunk_bytes);
    if (words_bytes != 0) words = obtain(words_bytes, alignof(std::max_align_t));
    if (const std::size_t table = pool.chunks().wanted(); table != 0) {
      void* const memory = obtain(table, alignof(std::max_align_t));
      const mem::lock held(books_);
      pool.chunks().grow(memory);
    }
  } catch (...) {
    if (words != nullptr) give_back(words, words_bytes, alignof(std::max_align_t));
    if (chunk != nullptr) give_back(chunk, chunk_bytes, chunk_bytes);
    growth_.end(false);
    throw;
  }
  if (hides_) mem::hide(chunk, chunk_bytes);
  {
    const mem::lock held(books_);
    pool.add(chunk, words);
  }
  without_caches_.store(hides_, std::memory_order_relaxed);
  peak_.raise(slots_.count().live);
  growth_.end(true);
}

template <class Upstream, mem::threads Threads>
void slot_supply<Upstream, Threads>::equip() noexcept {
  if (without_caches_.load(std::memory_order_relaxed) || !slots_.wants_cache()) return;
  try {
    void* const memory = obtain(sizeof(cache), alignof(cache));
    if (!slots_.add_cache(memory)) give_back(memory, sizeof(cache), alignof(cache));
  } catch (...) {
    without_caches_.store(true, std::memory_order_relaxed);
  }
}

template <class Upstream, mem::threads Threads>
void slot_supply<Upstream, Threads>::expand(std::size_t n) {
  for (std::size_t added = 0; added < n;) {
    const mem::growth::moment seen = growth_.now();
    if (growth_.under_way(seen)) {
      wait_for(seen);
    } else if (growth_.begin(seen)) {
      grow();
      reserved_.add(1);
      added += shape().slots;
    }
  }
}

template <class Upstream, mem::threads Threads>
std::size_t slot_supply<Upstream, Threads>::trim() noexcept {
  reserved_.set(0);
  slots_.drain();
  if (growth_.is_mine()) return 0;
  mem::take_turn(growth_);
  let_rest();
  const std::size_t gone = give_back_resting(slots_.pool().resting());
  growth_.end(true);
  return gone * shape().chunk_bytes;
}

template <class Upstream, mem::threads Threads>
std::size_t slot_supply<Upstream, Threads>::tick(std::uint64_t now) noexcept {
  if (!timer_.is_on()) return 0;
  timer_.looked(now);
  // Somebody else's turn may be long; there will be another look.
  const mem::growth::moment seen = growth_.now();
  if (growth_.under_way(seen) || !growth_.begin(seen)) return 0;
  if (decay_.begins_slice(now)) {
    slots_.drain_idle();
    let_rest();
  }
  const std::size_t resting = slots_.pool().resting();
  const std::size_t unused = decay_.look(now, low_, resting);
  const std::size_t gone = give_back_resting(std::min(unused, resting - std::min(resting, reserved_.get())));
  growth_.end(true);
  return gone * shape().chunk_bytes;
}

template <class Upstream, mem::threads Threads>
void slot_supply<Upstream, Threads>::let_rest() noexcept {
  const mem::lock held(books_);
  slots_.pool().rest();
}

// So many chunks that rest, if there are; how many remains the least there were, for now. Returns how many went.
template <class Upstream, mem::threads Threads>
std::size_t slot_supply<Upstream, Threads>::give_back_resting(std::size_t count) noexcept {
  auto& pool = slots_.pool();
  std::size_t gone = 0;
  for (; gone < count; ++gone) {
    void* chunk = nullptr;
    {
      const mem::lock held(books_);
      chunk = pool.take_resting();
    }
    if (chunk == nullptr) break;
    give_back(chunk, shape().chunk_bytes, shape().chunk_bytes);
  }
  decay_.gave(gone);
  low_ = pool.resting();
  return gone;
}

template <class Upstream, mem::threads Threads>
void slot_supply<Upstream, Threads>::release() noexcept {
  for (cache* c = slots_.clear_caches(); c != nullptr;) {
    cache* const next = c->next;  // read before the cache is gone
    give_back(c, sizeof(cache), alignof(cache));
    c = next;
  }
  auto& pool = slots_.pool();
  pool.forget();
  for (std::uint32_t n = 0; n < pool.chunks().numbers(); ++n) {
    const auto gone = pool.parts_of(n);
    if (gone.chunk != nullptr) give_back(gone.chunk, shape().chunk_bytes, shape().chunk_bytes);
    give_back(gone.words, pool.words_bytes(), alignof(std::max_align_t));
  }
  reserved_.set(0);
  low_ = 0;
  for (auto t = pool.chunks().clear(); t.memory != nullptr; t = pool.chunks().clear()) {
    give_back(t.memory, t.bytes, alignof(std::max_align_t));
  }
}

template <class Upstream, mem::threads Threads>
void* slot_supply<Upstream, Threads>::obtain(std::size_t bytes, std::size_t alignment) {
  void* const p = upstream_->allocate(bytes, alignment);
  held_.add(bytes);
  if (grounds_ != nullptr) grounds_->add(p, bytes);
  return p;
}

template <class Upstream, mem::threads Threads>
void slot_supply<Upstream, Threads>::give_back(void* p, std::size_t bytes, std::size_t alignment) noexcept {
  if (hides_) mem::show(p, bytes);
  held_.subtract(bytes);
  if (grounds_ != nullptr) grounds_->remove(p, bytes);
  upstream_->deallocate(p, bytes, alignment);
}

// Shares what comes of another thread's turn, failure included. In the turn of this very thread, which upstream has let
// back in, nothing comes of waiting.
template <class Upstream, mem::threads Threads>
void slot_supply<Upstream, Threads>::wait_for(mem::growth::moment seen) {
  const auto fail = [this](const char* reason) {
    throw allocation_error(name_, shape().slot_bytes, shape().alignment(), reason);
  };
  if (growth_.is_mine()) fail("none is free, and this very thread is getting a chunk");
  if (!growth_.wait(seen)) fail("the thread that was to get a chunk for all who waited got none");
}

template <class Upstream, mem::threads Threads>
typename slot_supply<Upstream, Threads>::figures slot_supply<Upstream, Threads>::count() const noexcept {
  const auto seen = slots_.count();
  const std::size_t slots = std::size_t{slots_.pool().chunks().count()} * shape().slots;
  return {.upstream = held_.get(),
          .kept = (slots - seen.out) * shape().slot_bytes,
          .live = seen.live,
          .peak = peak_.raise(seen.live),
          .out = seen.out,
          .taken = seen.taken,
          .failures = failures_.get()};
}

}  // namespace strata::pmr
