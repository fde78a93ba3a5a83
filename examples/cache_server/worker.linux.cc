// SPDX-License-Identifier: Apache-2.0
module;
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory_resource>
#include <mutex>
#include <new>
#include <span>
#include <system_error>
#include <thread>
#include <utility>

module cache_server:worker.linux;

import :buffer;
import :conversation;
import :http;
import :service;
import :session;
import :sockets;
import :worker;

namespace cache_server {

namespace {

constexpr int kTickMilliseconds = 1000;
constexpr int kReadsAtOnce = 16;  // of one client, then it is the next one's turn

std::int64_t milliseconds_now() noexcept {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

struct worker::client {
  descriptor socket;
  std::uint32_t waits_for = 0;
  std::uint32_t last_heard = 0;
  bool ended = false;  ///< the other side says no more
  bool is_dying = false;
  client* next = nullptr;
  client* prev = nullptr;
  conversation* talk = nullptr;  ///< made in `place`
  union {
    alignas(session) std::byte of_session[sizeof(session)];
    alignas(http) std::byte of_http[sizeof(http)];
  };
};

worker::worker(service& all, std::pmr::memory_resource* buffers)
    : all_(all),
      buffers_(buffers),
      poll_(::epoll_create1(EPOLL_CLOEXEC)),
      bell_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  epoll_event bell{.events = EPOLLIN, .data = {.ptr = nullptr}};
  if (!poll_.is_open() || !bell_.is_open() || ::epoll_ctl(poll_.get(), EPOLL_CTL_ADD, bell_.get(), &bell) != 0) {
    throw std::system_error(errno, std::generic_category(), "no events to wait for");
  }
  thread_ = std::thread([this] { run(); });
}

worker::~worker() {
  drain(0);
  thread_.join();
}

bool worker::take(descriptor socket, speaks language) noexcept {
  client* fresh = nullptr;
  try {
    fresh = ::new (buffers_->allocate(sizeof(client), alignof(client))) client;
  } catch (const std::bad_alloc&) {
    all_.counts().connections_starved.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  fresh->socket = std::move(socket);
  fresh->last_heard = all_.now();
  if (language == speaks::http) {
    fresh->talk = ::new (static_cast<void*>(fresh->of_http)) http(all_, buffers_);
  } else {
    fresh->talk = ::new (static_cast<void*>(fresh->of_session)) session(all_, buffers_);
  }
  all_.counts().connections.fetch_add(1, std::memory_order_relaxed);
  {
    const std::lock_guard held(lock_);
    fresh->next = arrived_;
    arrived_ = fresh;
  }
  wake();
  return true;
}

void worker::drain(unsigned seconds) noexcept {
  std::int64_t none = 0;
  drain_until_.compare_exchange_strong(none, milliseconds_now() + std::int64_t{1000} * seconds);
  wake();
}

void worker::wake() noexcept {
  const std::uint64_t one = 1;
  static_cast<void>(::write(bell_.get(), &one, sizeof one));
}

void worker::run() noexcept {
  std::array<epoll_event, 64> events;
  std::uint32_t last_tick = all_.now();
  for (;;) {
    const int timeout = draining_ ? 20 : kTickMilliseconds;
    const int count = ::epoll_wait(poll_.get(), events.data(), static_cast<int>(events.size()), timeout);
    for (const epoll_event& event : std::span(events).first(static_cast<std::size_t>(std::max(count, 0)))) {
      if (event.data.ptr == nullptr) {
        std::uint64_t rung = 0;
        static_cast<void>(::read(bell_.get(), &rung, sizeof rung));
        continue;
      }
      client& c = *static_cast<client*>(event.data.ptr);
      if (!c.is_dying) serve(c, (event.events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0);
    }
    const std::int64_t until = drain_until_.load();  // before the last are let in: nobody comes after it is set
    admit();
    while (dying_ != nullptr) {
      client* const c = std::exchange(dying_, dying_->next);
      c->~client();
      buffers_->deallocate(c, sizeof(client), alignof(client));
    }
    if (const std::uint32_t now = all_.now(); now != last_tick) {
      last_tick = now;
      all_.items().tick(now);
      all_.items().sweep(now);
      end_idle(now);
    }
    if (until == 0) continue;
    if (!draining_) begin_draining();
    if (clients_ != nullptr && milliseconds_now() < until) continue;
    while (clients_ != nullptr) end(clients_);
    if (dying_ == nullptr) return;
  }
}

// Takes in who has arrived.
void worker::admit() {
  client* fresh = nullptr;
  {
    const std::lock_guard held(lock_);
    fresh = std::exchange(arrived_, nullptr);
  }
  while (fresh != nullptr) {
    client* const c = std::exchange(fresh, fresh->next);
    c->prev = nullptr;
    c->next = clients_;
    if (clients_ != nullptr) clients_->prev = c;
    clients_ = c;
    epoll_event wanted{.events = c->waits_for = EPOLLIN, .data = {.ptr = c}};
    if (::epoll_ctl(poll_.get(), EPOLL_CTL_ADD, c->socket.get(), &wanted) != 0) end(c);
  }
}

// One client's turn: hears, works, says, and stays or ends.
void worker::serve(client& c, bool readable) noexcept {
  try {
    if (readable && c.talk->wants_input() && !read(c)) return end(&c);
    for (;;) {
      c.talk->work();
      const std::size_t waiting = c.talk->output().size();
      if (waiting == 0) break;
      if (!write(c)) return end(&c);
      // What was put off for want of room can go on.
      if (c.talk->output().size() == waiting || !c.talk->wants_input()) break;
    }
  } catch (const std::bad_alloc&) {
    all_.counts().connections_starved.fetch_add(1, std::memory_order_relaxed);
    return end(&c);
  }
  const bool done = c.talk->finished() || c.ended || draining_;
  if (c.talk->output().empty() && done) return end(&c);
  if (!wait_for(c)) end(&c);
}

// False: there is nothing more to be had from it.
bool worker::read(client& c) {
  for (int reads = 0; reads < kReadsAtOnce && c.talk->wants_input(); ++reads) {
    const std::span<char> room = c.talk->room();
    const transfer got = receive(c.socket, room);
    if (got.error != 0) return is_not_now(got.error);
    if (got.ended) {
      c.ended = true;
      return true;
    }
    c.last_heard = all_.now();
    all_.counts().bytes_read.fetch_add(got.bytes, std::memory_order_relaxed);
    c.talk->received(got.bytes);
    c.talk->work();
    if (got.bytes < room.size()) return true;
  }
  return true;
}

bool worker::write(client& c) noexcept {
  buffer& out = c.talk->output();
  while (!out.empty()) {
    const transfer sent = send(c.socket, out.text());
    if (sent.error != 0) return is_not_now(sent.error);
    all_.counts().bytes_written.fetch_add(sent.bytes, std::memory_order_relaxed);
    c.last_heard = all_.now();
    out.consume(sent.bytes);
  }
  return true;
}

bool worker::wait_for(client& c) noexcept {
  const bool hears = c.talk->wants_input() && !c.ended && !draining_;
  const std::uint32_t wanted = (hears ? EPOLLIN : 0U) | (c.talk->output().empty() ? 0U : EPOLLOUT);
  if (wanted == c.waits_for) return true;
  epoll_event event{.events = c.waits_for = wanted, .data = {.ptr = &c}};
  return ::epoll_ctl(poll_.get(), EPOLL_CTL_MOD, c.socket.get(), &event) == 0;
}

void worker::end(client* c) noexcept {
  if (c->is_dying) return;
  c->is_dying = true;
  (c->prev != nullptr ? c->prev->next : clients_) = c->next;
  if (c->next != nullptr) c->next->prev = c->prev;
  c->talk->~conversation();
  say_goodbye(c->socket);
  c->socket.close();
  c->next = dying_;
  dying_ = c;
  all_.counts().connections.fetch_sub(1, std::memory_order_relaxed);
}

void worker::end_idle(std::uint32_t now) noexcept {
  const std::uint32_t most = all_.is().idle_seconds;
  if (most == 0) return;
  for (client* c = clients_; c != nullptr;) {
    client* const next = c->next;
    if (now - c->last_heard > most && now > c->last_heard) {
      all_.counts().connections_idle.fetch_add(1, std::memory_order_relaxed);
      end(c);
    }
    c = next;
  }
}

// What has come in is answered; then each client goes as soon as it has heard it all.
void worker::begin_draining() noexcept {
  for (client* c = clients_; c != nullptr;) {
    client* const next = c->next;
    serve(*c, true);
    c = next;
  }
  draining_ = true;
  for (client* c = clients_; c != nullptr;) {
    client* const next = c->next;
    serve(*c, false);
    c = next;
  }
}

}  // namespace cache_server
