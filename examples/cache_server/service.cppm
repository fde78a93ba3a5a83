// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <string_view>

export module cache_server:service;

import :buffer;
import :store;

import strata.pmr;

/// What all conversations share: the store, the memories, what is counted, and how all that is told.
///
/// Any thread.
export namespace cache_server {

struct settings {
  std::string_view stack;  ///< of the items; outlives the service
  std::size_t budget = 0;  ///< bytes
  std::size_t most_connections = 0;
  std::size_t threads = 0;
  std::uint16_t port = 0;
  std::uint32_t idle_seconds = 0;  ///< 0: clients may be silent for ever
};

struct service_counts {
  std::atomic<std::uint64_t> connections{0};  ///< there are now
  std::atomic<std::uint64_t> connections_total{0};
  std::atomic<std::uint64_t> connections_rejected{0};  ///< too many
  std::atomic<std::uint64_t> connections_idle{0};      ///< closed because they were
  std::atomic<std::uint64_t> connections_starved{0};   ///< closed because there was no memory for them
  std::atomic<std::uint64_t> bytes_read{0};
  std::atomic<std::uint64_t> bytes_written{0};
  std::atomic<std::uint64_t> protocol_errors{0};
  std::atomic<std::uint64_t> scrapes{0};  ///< of /metrics
};

class service {
 public:
  using clock = std::uint32_t (*)() noexcept;

  /// All but the values outlive the service. `items` and `buffers` are the tops of the stacks these come from.
  service(const settings& is, store& items, const strata::pmr::layer& items_from,
          const strata::pmr::layer& buffers_from, clock now) noexcept
      : is_(is), items_(items), items_from_(items_from), buffers_from_(buffers_from), now_(now), started_(now()) {}

  [[nodiscard]] store& items() noexcept { return items_; }
  [[nodiscard]] service_counts& counts() noexcept { return counts_; }
  [[nodiscard]] const settings& is() const noexcept { return is_; }
  /// Seconds since 1970.
  [[nodiscard]] std::uint32_t now() const noexcept { return now_(); }
  void has_port(std::uint16_t port) noexcept { is_.port = port; }

  /// The answer to `stats what`, END included. False when there is no such thing.
  [[nodiscard]] bool write_stats(std::string_view what, buffer& out) const;
  /// A page for Prometheus.
  void write_metrics(buffer& out) const;
  /// Both memories as a JSON array.
  void write_report(buffer& out) const;

 private:
  settings is_;
  store& items_;
  const strata::pmr::layer& items_from_;
  const strata::pmr::layer& buffers_from_;
  const clock now_;
  const std::uint32_t started_;
  service_counts counts_;
};

}  // namespace cache_server
