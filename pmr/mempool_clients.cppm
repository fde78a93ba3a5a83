// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"

export module strata.pmr:mempool_clients;

import :layer;

import strata.mem;

/// The caches of a mempool, each found by the tag that its chunks bear.
///
/// A cache that is being made has a tag, so that it can take its first chunk; it is known once it can be asked, and
/// unknown before it ends; its tag is free for another when its last chunk has gone.
///
/// Any thread. Looking up is one load; a look for what is of no use holds a lock, so that no cache ends meanwhile.
export namespace strata::pmr {

/// A cache as its pool knows it.
class mempool_client {
 public:
  mempool_client(const mempool_client&) = delete;
  mempool_client& operator=(const mempool_client&) = delete;

  virtual void take_back(void* item) noexcept = 0;
  /// Bytes of an item; 0 when `p` is none that is out.
  [[nodiscard]] virtual std::size_t usable_size(const void* p) const noexcept = 0;
  [[nodiscard]] virtual const layer& as_layer() const noexcept = 0;
  /// What was of no use for a while goes back to the pool. Returns its bytes.
  virtual std::size_t let_go(std::uint64_t now) noexcept = 0;

 protected:
  mempool_client() = default;
  ~mempool_client() = default;
};

class mempool_clients {
 public:
  static constexpr std::size_t most = 240;

  /// Where they are noted: all zero to begin with, so what holds a pool's books can hold it.
  struct place {
    std::atomic<bool> taken{false};
    std::atomic<mempool_client*> client{nullptr};
  };
  using table = std::array<place, most>;

  /// The first tag; the others follow. `at` outlives this object.
  mempool_clients(table* at, mem::fragment_tag first) noexcept : places_(*at), first_(first) {}
  mempool_clients(const mempool_clients&) = delete;
  mempool_clients& operator=(const mempool_clients&) = delete;

  /// A tag for one that is being made; none when all are taken.
  [[nodiscard]] std::optional<mem::fragment_tag> enter() noexcept;
  /// Who that is; null: nobody any more. Waits for a tick().
  void introduce(mem::fragment_tag tag, mempool_client* client) noexcept ABSL_LOCKS_EXCLUDED(ticks_);
  /// The tag is free.
  void leave(mem::fragment_tag tag) noexcept;

  /// Null for any tag that is nobody's.
  [[nodiscard]] inline mempool_client* find(mem::fragment_tag tag) const noexcept {
    const std::size_t i = static_cast<mem::fragment_tag>(tag - first_);
    return i < most ? places_[i].client.load(std::memory_order_acquire) : nullptr;
  }
  /// Shows each that is known. None comes or goes meanwhile.
  void visit(absl::FunctionRef<void(mempool_client&)> visitor) const;

  /// What each lets go; 0 while another thread is at it.
  std::size_t tick(std::uint64_t now) noexcept ABSL_LOCKS_EXCLUDED(ticks_);

  [[nodiscard]] mem::os_error unknown_to_fork() const noexcept { return ticks_.unknown_to_fork(); }

 private:
  table& places_;
  const mem::fragment_tag first_;
  /// Caches call their part of the segment while it is held, and nobody else.
  mem::mutex ticks_{mem::lock_rank::over_upstream, "of ticks of a mempool's caches", mem::lock_reach::upstream};
};

}  // namespace strata::pmr
