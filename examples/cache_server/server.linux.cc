// SPDX-License-Identifier: Apache-2.0
module;
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory_resource>
#include <string>
#include <system_error>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

module cache_server:server.linux;

import :server;
import :service;
import :sockets;
import :worker;

namespace cache_server {

namespace {

constexpr std::size_t kOtherDescriptors = 64;
constexpr int kShortageMilliseconds = 100;  // until the next try, when there were no descriptors left

sigset_t the_signals() noexcept {
  sigset_t both;
  ::sigemptyset(&both);
  ::sigaddset(&both, SIGTERM);
  ::sigaddset(&both, SIGINT);
  return both;
}

// Lets everybody in who waits. False: there is something missing for that.
bool admit_all(const descriptor& door, speaks language, service& all, std::deque<worker>& workers, std::size_t& turn) {
  for (;;) {
    accepted client = accept_at(door);
    if (client.error != 0) return !is_shortage(client.error);
    service_counts& counts = all.counts();
    counts.connections_total.fetch_add(1, std::memory_order_relaxed);
    if (counts.connections.load(std::memory_order_relaxed) >= all.is().most_connections) {
      counts.connections_rejected.fetch_add(1, std::memory_order_relaxed);
      static_cast<void>(send(client.socket, language == speaks::http ? "HTTP/1.1 503 Service Unavailable\r\n"
                                                                       "Content-Length: 0\r\nConnection: close\r\n\r\n"
                                                                     : "ERROR Too many open connections\r\n"));
      say_goodbye(client.socket);
      continue;
    }
    static_cast<void>(workers[turn++ % workers.size()].take(std::move(client.socket), language));
  }
}

}  // namespace

void block_signals() noexcept {
  const sigset_t both = the_signals();
  static_cast<void>(::pthread_sigmask(SIG_BLOCK, &both, nullptr));
}

absl::Status serve(const server_options& options, service& all, std::pmr::memory_resource* buffers,
                   absl::FunctionRef<void(std::uint16_t port, std::uint16_t http_port)> ready) {
  const sigset_t both = the_signals();
  const descriptor signals(::signalfd(-1, &both, SFD_NONBLOCK | SFD_CLOEXEC));
  if (!signals.is_open()) return absl::ErrnoToStatus(errno, "signalfd");
  const std::size_t wanted = all.is().most_connections + kOtherDescriptors;
  if (const std::size_t allowed = allow_descriptors(wanted); allowed < wanted) {
    return absl::ResourceExhaustedError(absl::StrCat("so many connections need ", wanted, " descriptors, and only ",
                                                     allowed, " may be had: raise ulimit -n or lower the limit"));
  }
  listener door = listen_at(options.address, options.port);
  if (door.error != 0) return absl::ErrnoToStatus(door.error, absl::StrCat(options.address, ":", options.port));
  listener http_door = listen_at(options.address, options.http_port);
  if (http_door.error != 0) {
    return absl::ErrnoToStatus(http_door.error, absl::StrCat(options.address, ":", options.http_port));
  }
  all.has_port(door.port);

  std::deque<worker> workers;
  try {
    for (std::size_t i = 0; i < all.is().threads; ++i) workers.emplace_back(all, buffers);
  } catch (const std::system_error& error) {
    return absl::UnavailableError(error.what());
  }
  ready(door.port, http_door.port);

  std::array<pollfd, 3> doors{
      {{signals.get(), POLLIN, 0}, {door.socket.get(), POLLIN, 0}, {http_door.socket.get(), POLLIN, 0}}};
  bool short_of = false;
  std::size_t turn = 0;
  for (;;) {
    // Short of descriptors, knocking is not waited for: it would not stop.
    const int count = ::poll(doors.data(), short_of ? 1 : doors.size(), short_of ? kShortageMilliseconds : -1);
    if (count < 0 && errno != EINTR) return absl::ErrnoToStatus(errno, "poll");
    if (doors[0].revents != 0) break;
    const bool let_in = admit_all(door.socket, speaks::memcached, all, workers, turn);
    short_of = !admit_all(http_door.socket, speaks::http, all, workers, turn) || !let_in;
  }
  // Nobody new, and an end for those who are there.
  door.socket.close();
  http_door.socket.close();
  for (worker& w : workers) w.drain(options.drain_seconds);
  return absl::OkStatus();
}

}  // namespace cache_server
