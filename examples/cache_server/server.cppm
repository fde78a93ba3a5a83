// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"

export module cache_server:server;

import :service;

/// Two ports, the threads that serve their clients, and an end on SIGTERM or SIGINT.
export namespace cache_server {

struct server_options {
  std::string address = "127.0.0.1";
  std::uint16_t port = 11211;   ///< for memcached's protocol; 0: any
  std::uint16_t http_port = 0;  ///< for HTTP; 0: any
  unsigned drain_seconds = 2;   ///< given to clients to read their last answers
};

/// Blocks SIGTERM and SIGINT in the calling thread and those it starts, for serve(). To be called before any other
/// thread is there.
void block_signals() noexcept;

/// Serves until one of the two signals comes, then answers what has come in, and returns. `ready` is told the ports.
[[nodiscard]] absl::Status serve(const server_options& options, service& all, std::pmr::memory_resource* buffers,
                                 absl::FunctionRef<void(std::uint16_t port, std::uint16_t http_port)> ready);

}  // namespace cache_server
