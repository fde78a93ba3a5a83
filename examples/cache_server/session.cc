// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <string_view>
#include <utility>

module cache_server:session.impl;

import :buffer;
import :command;
import :conversation;
import :item;
import :service;
import :session;
import :store;

namespace cache_server {

namespace {

constexpr std::size_t kReadAtOnce = 16 << 10;
constexpr const char* kTooLarge = "SERVER_ERROR object too large for cache";
constexpr const char* kNoMemory = "SERVER_ERROR out of memory storing object";

void append(buffer& out, std::uint64_t number) {
  std::array<char, 24> digits;
  const char* const end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  out.append({digits.data(), static_cast<std::size_t>(end - digits.data())});
}

}  // namespace

std::uint32_t expiry(std::int64_t sent, std::uint32_t now) noexcept {
  constexpr std::int64_t longest_relative = 60 * 60 * 24 * 30;
  constexpr auto latest = std::int64_t{std::numeric_limits<std::uint32_t>::max()};
  if (sent == 0) return 0;
  if (sent < 0) return 1;
  return static_cast<std::uint32_t>(std::min(sent <= longest_relative ? now + sent : sent, latest));
}

session::~session() { all_.items().drop(incoming_); }

std::span<char> session::room() {
  // A value goes straight to where it will stay; not its last bytes, so that what follows comes with them.
  if (state_ == state::value && missing_ > kReadAtOnce && input_.empty()) return incoming_->wire().last(missing_);
  const std::span<char> free = input_.room(1024);
  return free.first(std::min(free.size(), kReadAtOnce));
}

void session::received(std::size_t bytes) {
  if (state_ == state::value && missing_ > kReadAtOnce && input_.empty()) {
    missing_ -= bytes;
  } else {
    input_.added(bytes);
  }
}

void session::work() {
  now_ = all_.now();
  all_.items().tick(now_);
  for (bool goes_on = true; goes_on && wants_input();) {
    switch (state_) {
      case state::line:
        goes_on = read_line();
        break;
      case state::keys:
        give_keys();
        break;
      case state::value:
        goes_on = take_value();
        break;
      case state::swallow:
        goes_on = swallow();
        break;
    }
  }
}

// Whether there was one.
bool session::read_line() {
  const std::string_view text = input_.text();
  const std::size_t end = text.find('\n');
  if (end == std::string_view::npos) {
    const bool has_keys = text.starts_with("get ") || text.starts_with("gets ");
    if (text.size() > (has_keys ? longest_get : longest_line)) {
      noreply_ = false;
      all_.counts().protocol_errors.fetch_add(1, std::memory_order_relaxed);
      reply("CLIENT_ERROR line too long");
      finish();
    }
    return false;
  }
  const command c = read_command(text.substr(0, end));
  noreply_ = c.noreply;
  line_bytes_ = end + 1;
  if (c.what == verb::get || c.what == verb::gets) {
    state_ = state::keys;
    with_unique_ = c.what == verb::gets;
    keys_done_ = static_cast<std::size_t>(c.keys.data() - text.data());
    return true;
  }
  if (c.wrong != nullptr) all_.counts().protocol_errors.fetch_add(1, std::memory_order_relaxed);
  if (c.value_follows) {
    begin_value(c);
  } else if (c.wrong != nullptr) {
    reply(c.wrong);
  } else {
    obey(c);
  }
  input_.consume(line_bytes_);
  return true;
}

void session::obey(const command& c) {
  store& items = all_.items();
  switch (c.what) {
    case verb::del:
      reply(items.remove(c.key, now_) ? "DELETED" : "NOT_FOUND");
      break;
    case verb::incr:
    case verb::decr:
      count(c);
      break;
    case verb::touch:
      reply(items.touch(c.key, expiry(c.expires, now_), now_) ? "TOUCHED" : "NOT_FOUND");
      break;
    case verb::flush_all:
      items.flush(c.expires <= 0 ? now_ : expiry(c.expires, now_), now_);
      reply("OK");
      break;
    case verb::stats:
      if (c.key == "reset") {
        reply("RESET");
      } else if (!all_.write_stats(c.key, output())) {
        reply("ERROR");
      }
      break;
    case verb::verbosity:
      reply("OK");
      break;
    case verb::version:
      reply("VERSION 1.6.0-strata");
      break;
    case verb::quit:
      finish();
      break;
    default:
      reply("ERROR");
      break;
  }
}

void session::begin_value(const command& c) {
  missing_ = static_cast<std::size_t>(c.bytes) + 2;
  storing_ = c.what;
  unique_ = c.number;
  after_ = c.wrong;
  state_ = state::swallow;
  if (c.wrong != nullptr) return;
  incoming_ = all_.items().make(c.key, c.flags, expiry(c.expires, now_), c.bytes);
  if (incoming_ != nullptr) {
    state_ = state::value;
    return;
  }
  after_ = c.bytes > all_.items().largest_value() ? kTooLarge : kNoMemory;
  // Who sets means the old value to be gone.
  if (c.what == verb::set) static_cast<void>(all_.items().remove(c.key, now_));
}

bool session::take_value() {
  const std::string_view text = input_.text().substr(0, missing_);
  std::memcpy(incoming_->wire().last(missing_).data(), text.data(), text.size());
  missing_ -= text.size();
  input_.consume(text.size());
  if (missing_ != 0) return false;
  state_ = state::line;
  item* const made = std::exchange(incoming_, nullptr);
  const std::span<const char> end = made->wire().last(2);
  if (end[0] != '\r' || end[1] != '\n') {
    all_.items().drop(made);
    all_.counts().protocol_errors.fetch_add(1, std::memory_order_relaxed);
    reply("CLIENT_ERROR bad data chunk");
  } else {
    reply(all_.items().put(storing_, made, unique_, now_));
  }
  return true;
}

bool session::swallow() {
  const std::size_t there = std::min(missing_, input_.size());
  missing_ -= there;
  input_.consume(there);
  if (missing_ != 0) return false;
  state_ = state::line;
  reply(after_);
  return true;
}

// Key by key, and no further than there is room for: the rest when what waits has gone.
void session::give_keys() {
  buffer& out = output();
  std::string_view line = input_.text().substr(0, line_bytes_ - 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  std::string_view words = line.substr(std::min(keys_done_, line.size()));
  while (!words.empty() && out.size() < most_waiting) {
    const std::string_view key = take_word(words);
    keys_done_ = line.size() - words.size();
    if (key.empty()) break;
    if (key.size() > longest_key) {
      all_.counts().protocol_errors.fetch_add(1, std::memory_order_relaxed);
      reply("CLIENT_ERROR bad command line format");
      input_.consume(line_bytes_);
      state_ = state::line;
      return;
    }
    all_.items().get(key, now_, [&](const item& found) {
      // All or nothing: what is short of memory half way would be half an answer.
      static_cast<void>(out.room(found.wire().size() + found.key().size() + 80));
      out.append("VALUE ");
      out.append(found.key());
      out.append(" ");
      append(out, found.flags);
      out.append(" ");
      append(out, found.value_bytes);
      if (with_unique_) {
        out.append(" ");
        append(out, found.unique);
      }
      out.append("\r\n");
      out.append(found.wire());
    });
  }
  if (!words.empty()) return;
  reply("END");
  input_.consume(line_bytes_);
  state_ = state::line;
}

void session::count(const command& c) {
  std::uint64_t result = 0;
  switch (all_.items().count(c.key, c.what == verb::incr, c.number, now_, result)) {
    case counted::counted:
      if (noreply_) return;
      append(output(), result);
      output().append("\r\n");
      return;
    case counted::not_found:
      return reply("NOT_FOUND");
    case counted::no_number:
      return reply("CLIENT_ERROR cannot increment or decrement non-numeric value");
    case counted::no_memory:
      return reply("SERVER_ERROR out of memory in incr");
  }
}

void session::reply(std::string_view text) {
  if (noreply_) return;
  output().append(text);
  output().append("\r\n");
}

void session::reply(stored outcome) {
  switch (outcome) {
    case stored::stored:
      return reply("STORED");
    case stored::not_stored:
      return reply("NOT_STORED");
    case stored::exists:
      return reply("EXISTS");
    case stored::not_found:
      return reply("NOT_FOUND");
    case stored::no_memory:
      return reply(kNoMemory);
    case stored::too_large:
      return reply(kTooLarge);
  }
}

}  // namespace cache_server
