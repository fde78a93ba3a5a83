// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <memory_resource>
#include <mutex>
#include <span>
#include <string_view>

#include "absl/functional/function_ref.h"

export module cache_server:store;

import :command;
import :item;
import :shard;

/// Items by key, those used last kept longest.
///
/// Shards, each with a lock, buckets and a list of its items by use. Times are seconds since 1970 and are the caller's;
/// any thread. Nothing but the constructor throws. Items and buckets come from two resources; both are asked and given
/// back to with no lock held but a shard's, for buckets alone.
export namespace cache_server {

enum class stored : std::uint8_t { stored, not_stored, exists, not_found, no_memory, too_large };
enum class counted : std::uint8_t { counted, not_found, no_number, no_memory };

class store {
 public:
  struct options {
    std::size_t largest_value = std::size_t{1} << 20;  ///< bytes
    std::size_t shards = 16;                           ///< a power of two; with one the order of use is exact
  };

  store(std::pmr::memory_resource* items, std::pmr::memory_resource* tables, const options& options);
  ~store();
  store(const store&) = delete;
  store& operator=(const store&) = delete;

  /// An item that is nobody's yet, without value; null when there is no memory for it, or it would be too large.
  [[nodiscard]] item* make(std::string_view key, std::uint32_t flags, std::uint32_t expires, std::uint64_t value_bytes);
  /// Ends an item that is nobody's.
  void drop(item* made) noexcept;

  /// Stores, as the verb says. The item is not the caller's any more, whatever comes of it.
  stored put(verb how, item* made, std::uint64_t unique, std::uint32_t now);

  /// Shows the item to `visitor`, which must be quick and leave the store alone, or throws what that throws.
  bool get(std::string_view key, std::uint32_t now, absl::FunctionRef<void(const item&)> visitor);
  bool remove(std::string_view key, std::uint32_t now) noexcept;
  bool touch(std::string_view key, std::uint32_t expires, std::uint32_t now) noexcept;
  /// Adds, or subtracts down to 0; `result` is what the value is then.
  counted count(std::string_view key, bool up, std::uint64_t by, std::uint32_t now, std::uint64_t& result);

  /// Everything goes at `when`; at once when that is not later than `now`.
  void flush(std::uint32_t when, std::uint32_t now) noexcept;
  /// Does what is due by now: to be called before commands are.
  void tick(std::uint32_t now) noexcept;
  /// Takes some expired items out, a few buckets at a time: to be called now and then.
  void sweep(std::uint32_t now) noexcept;

  /// Takes items out, those used least recently first, until they were `bytes` together; returns how many bytes there
  /// were. A shard's order is exact; shards take turns.
  std::size_t evict(std::size_t bytes) noexcept;

  [[nodiscard]] store_figures figures() const noexcept;
  [[nodiscard]] std::uint64_t flushes() const noexcept { return flushes_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::size_t largest_value() const noexcept { return options_.largest_value; }

 private:
  [[nodiscard]] shard& shard_of(std::size_t hash) const noexcept { return shards_[hash & (options_.shards - 1)]; }
  void clear() noexcept;
  void end_all(item* first) noexcept;
  stored join(verb how, item* made, std::uint32_t now);

  const options options_;
  std::pmr::memory_resource* const items_;
  std::pmr::memory_resource* const tables_;
  shard* shards_;
  std::atomic<std::uint64_t> next_unique_{1};
  std::atomic<std::uint64_t> flushes_{0};
  std::atomic<std::uint32_t> flush_at_{0};  ///< 0: never
  std::atomic<std::size_t> next_victim_{0};
  std::atomic<std::size_t> next_swept_{0};
};

}  // namespace cache_server
