// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <new>
#include <utility>

export module strata.pmr:object_pool;

import :layer;
import :named_cache;

import strata.mem;

/// Objects of one type: a named_cache that knows size and alignment, and can construct and destroy. Its contract is
/// that of named_cache.
///
///     object_pool<node> nodes(std::pmr::new_delete_resource());
///     node* const n = nodes.construct(key, value);
///     nodes.destroy(n);
///
/// object_pool<node, std::pmr::memory_resource, threads::one> is for one thread at a time.
export namespace strata::pmr {

struct object_pool_options {
  const char* name = "object_pool";                 ///< in reports and errors; outlives the pool
  std::size_t chunk_bytes = std::size_t{64} << 10;  ///< asked of upstream at a time, at least; up to 2 GiB
  std::uint32_t min_items = 8;                      ///< objects in a chunk, at least
  std::size_t decay_ms = mem::no_decay;             ///< after which a chunk that was not used goes back; 0: at once
  bool live_at_end_is_misuse = false;               ///< report objects that are alive at destruction
};

template <class T, class Upstream = std::pmr::memory_resource, threads Threads = threads::any>
class object_pool final : public named_cache<Upstream, Threads> {
  using base = named_cache<Upstream, Threads>;

  static_assert(alignof(T) <= max_alignment_of<Upstream>,
                "strata::pmr::object_pool: upstream cannot align such objects");

 public:
  using value_type = T;

  explicit object_pool(Upstream* upstream, object_pool_options options = {})
      : base(upstream, {.name = options.name,
                        .item_bytes = sizeof(T),
                        .alignment = alignof(T),
                        .chunk_bytes = options.chunk_bytes,
                        .min_items = options.min_items,
                        .decay_ms = options.decay_ms,
                        .live_at_end_is_misuse = options.live_at_end_is_misuse}) {}

  /// A new T from `arguments`. What its constructor throws passes, and the room is free again.
  template <class... Arguments>
  [[nodiscard]] T* construct(Arguments&&... arguments) {
    void* const room = this->request();
    try {
      return ::new (room) T(std::forward<Arguments>(arguments)...);
    } catch (...) {
      this->recycle(room);
      throw;
    }
  }

  /// Ends what construct() began; null is fine. Of what is no live object of this pool no destructor is called: it is
  /// misuse.
  void destroy(T* object) noexcept {
    if (object == nullptr) return;
    if (const mem::slot_fault fault = this->judge(object); fault != mem::slot_fault::none) {
      return this->report(fault, object, sizeof(T));
    }
    object->~T();
    this->recycle(object);
  }
};

}  // namespace strata::pmr
