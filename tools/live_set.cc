// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

module tools:live_set.impl;

import :call_log;
import :live_set;
import :text;

namespace tools {
namespace {

/// Whether a line that breaks off began as one of a log does.
bool of_a_log(std::string_view first) { return first == "frame" || first == "strata-log"; }

}  // namespace

live_set::live_set() : stacks_{std::string_view()} {}

void live_set::add(std::string_view line, bool whole) {
  ++line_;
  if (!whole) {
    const std::string_view first = line.substr(0, line.find(' '));
    if (of_a_log(first) || layer_by_name_.contains(first)) return note(oddity::cut_short);
    ++others_;
    return;
  }
  const log_line read = read_log_line(line);
  switch (read.is) {
    case log_line::kind::other:
      ++others_;
      break;
    case log_line::kind::header: {
      logged_layer& layer = layer_of(read.call.layer);
      if (layer.announced) note(oddity::same_name);
      layer.announced = true;
      break;
    }
    case log_line::kind::version:
      note(oddity::version);
      break;
    case log_line::kind::frame:
      functions_.try_emplace(read.call.pointer, printable(decoded(read.name)));
      break;
    case log_line::kind::damaged:
      if (layer_by_name_.contains(read.call.layer)) {
        note(oddity::damaged);
      } else {
        ++others_;
      }
      break;
    case log_line::kind::call: {
      logged_layer& layer = layer_of(read.call.layer);
      read.call.end == ending::none ? begin(layer, read.call) : end(layer, read.call);
      break;
    }
  }
}

void live_set::finish() {
  for (logged_layer& layer : layers_) {
    for (auto& [number, call] : layer.open) put_back(layer, call);
  }
}

std::string_view live_set::function(std::uint64_t code) const {
  const auto found = functions_.find(code);
  return found == functions_.end() ? std::string_view("?") : found->second;
}

logged_layer& live_set::layer_of(std::string_view written) {
  if (const auto found = layer_by_name_.find(written); found != layer_by_name_.end()) return *found->second;
  logged_layer& made = layers_.emplace_back();
  made.name = printable(decoded(written));
  layer_by_name_.emplace(written, &made);
  return made;
}

std::uint32_t live_set::stack_of(std::string_view written) {
  if (written.empty()) return 0;
  if (const auto found = stack_by_text_.find(written); found != stack_by_text_.end()) return found->second;
  const auto index = static_cast<std::uint32_t>(stacks_.size());
  stacks_.push_back(stack_by_text_.emplace(written, index).first->first);
  return index;
}

void live_set::note(oddity what) {
  occurrence& o = odd_[static_cast<std::size_t>(what)];
  if (o.times++ == 0) o.first_line = line_;
}

void live_set::begin(logged_layer& in, const call& c) {
  const auto [at, is_new] = in.open.try_emplace(c.number);
  open_call& opened = at->second;
  if (!is_new) {
    note(oddity::begun_twice);
    put_back(in, opened);
  }
  opened.call = c;
  opened.call.layer = opened.call.stack = {};
  opened.line = line_;
  if (c.what == verb::release) {
    opened.taken.assign(in.live.begin(), in.live.end());
    in.live.clear();
  } else if (c.what != verb::allocate) {
    take(in, c.pointer, opened);
  }
}

void live_set::end(logged_layer& in, const call& c) {
  open_call begun;
  if (auto found = in.open.extract(c.number); !found.empty()) begun = std::move(found.mapped());
  if (begun.line == 0 || begun.call.what != c.what) {
    // Logging was switched on in the midst of this call, or its other line is lost: its end says enough.
    note(oddity::ended_unbegun);
    put_back(in, begun);
    if (c.end == ending::done && c.what == verb::release) in.live.clear();
    if (c.end == ending::done && c.what == verb::deallocate) take(in, c.pointer, begun);
    if (c.end == ending::done && c.what == verb::reallocate) take(in, c.from, begun);
  }
  if (c.end != ending::done) {
    put_back(in, begun);
    ++(c.end == ending::failed ? in.failed : in.misuse);
    return;
  }
  ++in.calls[static_cast<std::size_t>(c.what)];
  const bool none_taken = begun.taken.empty();
  if (c.what == verb::deallocate && c.pointer != 0 && none_taken) note(oddity::freed_not_live);
  if (c.what == verb::reallocate && c.from != 0 && none_taken) note(oddity::moved_not_live);
  if (c.what == verb::allocate || c.what == verb::reallocate) hand_out(in, c);
}

void live_set::take(logged_layer& from, std::uint64_t pointer, open_call& to) {
  const auto found = from.live.find(pointer);
  if (found == from.live.end()) return;
  to.taken.emplace_back(pointer, found->second);
  from.live.erase(found);
}

// What has been handed out again since is not.
void live_set::put_back(logged_layer& in, open_call& call) {
  for (const auto& [pointer, block] : call.taken) in.live.try_emplace(pointer, block);
  call.taken.clear();
}

void live_set::hand_out(logged_layer& in, const call& c) {
  if (c.pointer == 0) return;
  const auto [at, is_new] = in.live.insert_or_assign(c.pointer, live_block{c.bytes, stack_of(c.stack)});
  if (!is_new) note(oddity::handed_out_live);
}

}  // namespace tools
