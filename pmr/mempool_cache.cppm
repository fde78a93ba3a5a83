// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <memory_resource>

export module strata.pmr:mempool_cache;

import :fragment_part;
import :fragment_resource;
import :layer;
import :mempool_clients;
import :mempool_resource;
import :named_cache;

/// A named_cache in a pool's segment.
///
///   mempool_cache orders(&pool, {.name = "orders", .item_bytes = sizeof(order)});
///
/// Everything it has, its books included, lies in the pool and bears its name: pool.owner(p) says so, pool.deallocate(p)
/// gives an item back without being told whose it is. Its chunks are pages of the pool. Otherwise a named_cache, with its
/// contract; items that are alive when it ends are a misuse.
///
/// The pool is borrowed and outlives it. Constructing throws allocation_error when the pool has as many as it can.
export namespace strata::pmr {

/// What a cache in a pool is.
struct mempool_items {
  const char* name = "cache";                         ///< in reports and errors; outlives the cache
  std::size_t item_bytes = 64;                        ///< bytes of an item
  std::size_t alignment = alignof(std::max_align_t);  ///< of every item, at least; a power of two
  bool live_at_end_is_misuse = true;                  ///< report items that are alive at destruction
};

}  // namespace strata::pmr

namespace strata::pmr {

// A cache's tag, and its upstream: there before the cache, and there still when its chunks go.
template <class Upstream>
struct mempool_place {
  explicit mempool_place(mempool_resource<Upstream>* pool)
      : pool_(pool), tag_(pool->enter()), part_(&pool->segment(), tag_) {}
  ~mempool_place() { pool_->leave(tag_); }
  mempool_place(const mempool_place&) = delete;
  mempool_place& operator=(const mempool_place&) = delete;

  mempool_resource<Upstream>* const pool_;
  const fragment_tag tag_;
  fragment_part<Upstream> part_;
};

}  // namespace strata::pmr

export namespace strata::pmr {

template <class Upstream = std::pmr::memory_resource>
class mempool_cache final : mempool_place<Upstream>, public named_cache<fragment_part<Upstream>>, mempool_client {
  using place = mempool_place<Upstream>;
  using base = named_cache<fragment_part<Upstream>>;

 public:
  mempool_cache(mempool_resource<Upstream>* pool, const mempool_items& items)
      : place(pool),
        base(&this->part_, cache{.name = items.name,
                                 .item_bytes = items.item_bytes,
                                 .alignment = items.alignment,
                                 .chunk_bytes = pool->segment().page_bytes(),
                                 .decay_ms = pool->decay_ms(),
                                 .live_at_end_is_misuse = items.live_at_end_is_misuse}) {
    pool->introduce(this->tag_, this);
  }
  ~mempool_cache() override { this->pool_->introduce(this->tag_, nullptr); }

  /// As the pool.
  [[nodiscard]] fork_policy at_fork() const noexcept override { return this->pool_->at_fork(); }

 private:
  void take_back(void* item) noexcept override { this->recycle(item); }
  [[nodiscard]] std::size_t usable_size(const void* p) const noexcept override {
    return this->is_live(p) ? this->item_bytes() : 0;
  }
  [[nodiscard]] const layer& as_layer() const noexcept override { return *this; }
  std::size_t let_go(std::uint64_t now) noexcept override { return this->tick(now); }
};

template <class Upstream>
mempool_cache(mempool_resource<Upstream>*, mempool_items) -> mempool_cache<Upstream>;

}  // namespace strata::pmr
