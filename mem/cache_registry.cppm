// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <cstddef>

#include "absl/functional/function_ref.h"

export module strata.mem:cache_registry;

import :thread_cache;

/// Which thread has which cache of which resource.
///
/// A resource registers as an owner and gets a small number. A thread finds its cache of that resource under that
/// number in a table of its own: one load, no look-up. The table says null where the thread has none.
///
/// Thread exit    each cache of the thread is handed to its owner's `retire`, under the registry's lock, after the
///                thread's C++ thread_local
///                objects are gone; a cache adopted later, while the thread ends, is handed over in the next round
/// Owner's end    detach_all() takes the owner's caches from all threads. No thread uses the owner any more, but some
///                may be about to end: the
///                registry's lock decides which comes first
/// Numbers        are used again. When one is, no table anywhere holds a cache of its former owner
/// Fork           the registry's lock is taken before all locks of owners. In the child, caches of threads that are not
///                there stay listed,
///                with what they hold, and belong to no table
/// Locks          registry → whatever `retire`, or who looks at all caches, takes
export namespace strata::mem {

class cache_owner {
 public:
  /// Takes a cache whose thread ends. Called under the registry's lock; must not call the registry.
  using retire = void (*)(void* argument, thread_cache* cache) noexcept;

  /// Owners at a time; one beyond them gets no number, and its threads no caches.
  static constexpr std::size_t max_owners = 256;

  /// `hidden`: mine() says null although there is a cache.
  cache_owner(retire when_thread_ends, void* argument, bool hidden = false) noexcept;
  ~cache_owner();  ///< Pre: no cache is adopted.
  cache_owner(const cache_owner&) = delete;
  cache_owner& operator=(const cache_owner&) = delete;

  /// The calling thread's cache, or null.
  [[nodiscard]] inline thread_cache* found() const noexcept;

  /// The same, but always null when hidden: what would use the cache at once is then sent the slow way.
  [[nodiscard]] inline thread_cache* mine() const noexcept;

  /// Makes `cache` the calling thread's. False, with nothing changed, when there is no number or the thread's end could
  /// not be watched. Pre: it has none.
  [[nodiscard]] bool adopt(thread_cache* cache) noexcept;

  /// Takes all caches from their threads. Returns them, linked by thread_cache::next.
  thread_cache* detach_all() noexcept;

  /// Shows every cache, under the registry's lock.
  void visit(absl::FunctionRef<void(const thread_cache&)> visitor) const;

  /// Shows all caches, linked by thread_cache::next, under the registry's lock: until `work` returns no thread can adopt
  /// one or end, and no fork begins. `work` must not call the registry.
  void hold(absl::FunctionRef<void(thread_cache* first)> work) const;

  [[nodiscard]] inline bool has_number() const noexcept { return number_ != 0; }

 private:
  friend class cache_list;

  const retire retire_;
  void* const argument_;
  const std::size_t number_;        ///< index in the tables; 0, which is always null, for none
  const std::size_t shown_;         ///< the same, or 0 when hidden
  thread_cache* caches_ = nullptr;  ///< guarded by the registry's lock
};

/// The calling thread's caches by number of their owner. Place 0 stays null.
[[gnu::tls_model("initial-exec")]] inline constinit thread_local std::array<thread_cache*, cache_owner::max_owners + 1>
    caches_of_this_thread{};

thread_cache* cache_owner::found() const noexcept { return caches_of_this_thread[number_]; }
thread_cache* cache_owner::mine() const noexcept { return caches_of_this_thread[shown_]; }

}  // namespace strata::mem
