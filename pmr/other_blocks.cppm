// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cstddef>
#include <memory_resource>

export module strata.pmr:other_blocks;

import :allocation_error;
import :grounds;
import :ledger;
import :report;

import strata.mem;

/// Blocks that a keeper does not keep itself but passes on to its upstream, one by one: known, so that they go back
/// when the keeper ends, and counted.
///
/// Any thread, or with threads::one one at a time; one lock. release() is for when no other call is under way.
export namespace strata::pmr {

template <class Upstream, mem::threads Threads>
class other_blocks {
 public:
  /// `held` gets to know each block.
  explicit other_blocks(Upstream* upstream, grounds* held = nullptr) noexcept : upstream_(upstream), grounds_(held) {}
  ~other_blocks() { release(); }
  other_blocks(const other_blocks&) = delete;
  other_blocks& operator=(const other_blocks&) = delete;

  /// Throws what upstream throws, or allocation_error in the name of `layer`; nothing has changed.
  [[nodiscard]] void* allocate(const char* layer, std::size_t bytes, std::size_t alignment) {
    const std::size_t whole = blocks::whole(bytes, alignment);
    try {
      if (whole == 0) throw allocation_error(layer, bytes, alignment, "no machine has so much memory");
      void* const base = upstream_->allocate(whole, blocks::whole_alignment(alignment));
      ledger_.handed_out(bytes);
      void* const payload = live_.add(base, bytes, alignment);
      if (grounds_ != nullptr) grounds_->add(payload, std::max<std::size_t>(bytes, 1));
      return payload;
    } catch (...) {
      ledger_.failed();
      throw;
    }
  }

  /// A fault changes nothing.
  [[nodiscard]] mem::owned_fault deallocate(void* p, std::size_t bytes) noexcept {
    if (grounds_ != nullptr && !grounds_->begins(p)) return mem::owned_fault::not_live;  // nothing is read there
    mem::owned_block* b = nullptr;
    if (const mem::owned_fault fault = live_.remove(p, bytes, b); fault != mem::owned_fault::none) return fault;
    ledger_.taken_back(bytes);
    give_back(*b);
    return mem::owned_fault::none;
  }

  /// Gives all back; they are void.
  void release() noexcept {
    for (const mem::owned_block* b = live_.clear(); b != nullptr;) {
      const mem::owned_block* const next = b->next;  // read before the block is gone
      give_back(*b);
      b = next;
    }
    ledger_.released();
  }

  /// For a request refused before it came here.
  void failed() noexcept { ledger_.failed(); }

  /// Figures of these blocks alone.
  [[nodiscard]] statistics stats() const noexcept {
    statistics figures = ledger_.figures();
    figures.upstream = live_.bytes();
    figures.overhead = figures.upstream - figures.live;
    return figures;
  }

 private:
  using blocks = mem::owned_blocks<Threads>;

  // The record lies in what goes, in front of the payload: all of it is read before.
  void give_back(const mem::owned_block& block) noexcept {
    const mem::owned_block gone = block;
    if (grounds_ != nullptr) grounds_->remove(&block + 1, 1);
    if (mem::inspected()) mem::show(gone.base, gone.bytes);
    upstream_->deallocate(gone.base, gone.bytes, gone.alignment);
  }

  Upstream* const upstream_;
  grounds* const grounds_;  ///< or null
  blocks live_;
  ledger_for<Threads == mem::threads::any> ledger_;
};

}  // namespace strata::pmr
