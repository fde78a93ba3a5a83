// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/functional/function_ref.h"

module strata.pmr:mempool_clients.impl;

import :mempool_clients;

import strata.mem;

namespace strata::pmr {

std::optional<mem::fragment_tag> mempool_clients::enter() noexcept {
  for (std::size_t i = 0; i < most; ++i) {
    if (!places_[i].taken.exchange(true, std::memory_order_acquire)) return static_cast<mem::fragment_tag>(first_ + i);
  }
  return std::nullopt;
}

void mempool_clients::introduce(mem::fragment_tag tag, mempool_client* client) noexcept {
  const mem::lock held(ticks_);
  places_[tag - first_].client.store(client, std::memory_order_release);
}

void mempool_clients::leave(mem::fragment_tag tag) noexcept {
  places_[tag - first_].taken.store(false, std::memory_order_release);
}

void mempool_clients::visit(absl::FunctionRef<void(mempool_client&)> visitor) const {
  for (const place& p : places_) {
    if (mempool_client* const client = p.client.load(std::memory_order_acquire); client != nullptr) visitor(*client);
  }
}

std::size_t mempool_clients::tick(std::uint64_t now) noexcept {
  if (!ticks_.try_lock()) return 0;
  const mem::adopted_lock held(ticks_);
  std::size_t freed = 0;
  visit([&](mempool_client& client) { freed += client.let_go(now); });
  return freed;
}

}  // namespace strata::pmr
