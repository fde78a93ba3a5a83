// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <memory_resource>

module strata.pmr:borrowed_resource.impl;

import :borrowed_resource;
import :layer;
import :ledger;
import :report;

namespace strata::pmr {

borrowed_resource::borrowed_resource(borrowed options) noexcept
    : direct_layer(options.name, nullptr), resource_(options.resource) {}

statistics borrowed_resource::stats() const noexcept {
  statistics figures = ledger_.figures();
  figures.upstream = figures.live;
  return figures;
}

fork_policy borrowed_resource::at_fork() const noexcept {
  const auto* const known = dynamic_cast<const layer*>(resource_);
  return known != nullptr ? known->at_fork() : fork_policy::works;
}

void* borrowed_resource::do_allocate(std::size_t bytes, std::size_t alignment) {
  void* p = nullptr;
  try {
    p = resource_->allocate(bytes, alignment);
  } catch (...) {
    ledger_.failed();
    throw;
  }
  ledger_.handed_out(bytes);
  return p;
}

void borrowed_resource::do_deallocate(void* p, std::size_t bytes, std::size_t alignment) {
  ledger_.taken_back(bytes);
  resource_->deallocate(p, bytes, alignment);
}

}  // namespace strata::pmr
