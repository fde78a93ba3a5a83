// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"

module tools:leak_report.impl;

import :call_log;
import :leak_report;
import :live_set;
import :text;
import :words;

namespace tools {
namespace {

/// Blocks of one layer that were allocated at one place.
struct group {
  const logged_layer* layer = nullptr;
  std::string_view stack;
  std::uint64_t bytes = 0, blocks = 0;
  std::uint64_t lowest = ~std::uint64_t{0};  // address: one block to look for
};

struct total {
  std::uint64_t bytes = 0, blocks = 0;
};

total live_in(const logged_layer& layer) {
  total result{.bytes = 0, .blocks = layer.live.size()};
  for (const auto& [pointer, block] : layer.live) result.bytes += block.bytes;
  return result;
}

total live_in_all(const live_set& from) {
  total result;
  for (const logged_layer& layer : from.layers()) {
    const total one = live_in(layer);
    result.bytes += one.bytes;
    result.blocks += one.blocks;
  }
  return result;
}

std::vector<group> grouped_by_stack(const live_set& from) {
  std::vector<group> groups;
  for (const logged_layer& layer : from.layers()) {
    std::unordered_map<std::uint32_t, group> by_stack;
    for (const auto& [pointer, block] : layer.live) {
      group& g = by_stack[block.stack];
      g.layer = &layer;
      g.stack = from.stacks()[block.stack];
      g.bytes += block.bytes;
      ++g.blocks;
      g.lowest = std::min(g.lowest, pointer);
    }
    for (const auto& [stack, g] : by_stack) groups.push_back(g);
  }
  std::sort(groups.begin(), groups.end(), [](const group& a, const group& b) {
    return std::tuple(b.bytes, b.blocks, a.lowest, a.layer->name) <
           std::tuple(a.bytes, a.blocks, b.lowest, b.layer->name);
  });
  return groups;
}

/// Shows each code address of a stack; what is none, as 0.
template <class Visitor>
void for_each_frame(std::string_view stack, Visitor visit) {
  while (!stack.empty()) {
    const std::size_t comma = stack.find(',');
    visit(address(stack.substr(0, comma)).value_or(0));
    stack.remove_prefix(comma == std::string_view::npos ? stack.size() : comma + 1);
  }
}

/// Calls that have not ended, in the order they began.
std::map<std::uint64_t, std::pair<const logged_layer*, const open_call*>> under_way(const live_set& from) {
  std::map<std::uint64_t, std::pair<const logged_layer*, const open_call*>> by_line;
  for (const logged_layer& layer : from.layers()) {
    for (const auto& [number, call] : layer.open) by_line[call.line] = {&layer, &call};
  }
  return by_line;
}

std::string arguments_of(const call& c) {
  std::string text;
  if (c.what == verb::deallocate || c.what == verb::reallocate) {
    absl::StrAppendFormat(&text, " pointer=0x%x", c.pointer);
  }
  if (c.what != verb::release) absl::StrAppendFormat(&text, " bytes=%d", c.bytes);
  if (c.what == verb::reallocate) absl::StrAppendFormat(&text, " to=%d", c.to);
  if (c.alignment != 0) absl::StrAppendFormat(&text, " alignment=%d", c.alignment);
  if (c.thread != 0) absl::StrAppendFormat(&text, " thread=%d", c.thread);
  return text;
}

struct sentence {
  oddity what;
  const char* key;
  const char* one;
  const char* more;
};

constexpr sentence kSentences[] = {
    {oddity::freed_not_live, "freed_not_live", "deallocation of what was not live",
     "deallocations of what was not live"},
    {oddity::moved_not_live, "moved_not_live", "reallocation of what was not live",
     "reallocations of what was not live"},
    {oddity::handed_out_live, "handed_out_live", "block handed out that was live already",
     "blocks handed out that were live already"},
    {oddity::ended_unbegun, "ended_unbegun", "end of a call without its beginning",
     "ends of calls without their beginning"},
    {oddity::begun_twice, "begun_twice", "call that begins again before its end",
     "calls that begin again before their end"},
    {oddity::same_name, "same_name", "layer of the same name as another, not told apart",
     "layers of the same name as another, not told apart"},
    {oddity::damaged, "damaged", "line of a layer that makes no sense", "lines of a layer that make no sense"},
    {oddity::cut_short, "cut_short", "line cut short", "lines cut short"},
    {oddity::version, "version", "log of a version that is not known", "logs of a version that is not known"},
};
static_assert(std::size(kSentences) == oddities);

void append_group(std::string& text, const live_set& from, const group& g) {
  absl::StrAppendFormat(&text, "\n%s in %s from layer %s, the first at 0x%x\n", counted(g.bytes, "byte"),
                        counted(g.blocks, "block"), g.layer->name, g.lowest);
  if (g.stack.empty()) text += "    allocated where: the log has no call stack\n";
  for_each_frame(g.stack, [&](std::uint64_t code) {
    absl::StrAppendFormat(&text, "    %-18s %s\n", absl::StrFormat("0x%x", code), from.function(code));
  });
}

void append_layers(std::string& text, const live_set& from) {
  absl::StrAppendFormat(&text, "\n%-16s %14s %12s %13s %13s %13s %9s %9s\n", "layer", "live bytes", "live blocks",
                        "allocations", "reallocations", "deallocations", "failed", "misuse");
  for (const logged_layer& layer : from.layers()) {
    const total live = live_in(layer);
    absl::StrAppendFormat(&text, "%-16s %14s %12s %13s %13s %13s %9s %9s\n", layer.name, grouped(live.bytes),
                          grouped(live.blocks), grouped(layer.calls[0]), grouped(layer.calls[2]),
                          grouped(layer.calls[1]), grouped(layer.failed), grouped(layer.misuse));
  }
}

}  // namespace

bool any_live(const live_set& from) { return live_in_all(from).blocks != 0; }

std::string leaks_as_text(const live_set& from, std::string_view name, std::size_t top) {
  const total live = live_in_all(from);
  const std::vector<group> groups = grouped_by_stack(from);
  std::string text = live.blocks == 0 ? absl::StrFormat("%s: nothing is live\n", printable(name))
                                      : absl::StrFormat("%s: %s live in %s (%s), allocated at %s\n", printable(name),
                                                        counted(live.bytes, "byte"), counted(live.blocks, "block"),
                                                        for_people(live.bytes), counted(groups.size(), "place"));

  const std::size_t shown = top == 0 ? groups.size() : std::min(top, groups.size());
  for (std::size_t i = 0; i < shown; ++i) append_group(text, from, groups[i]);
  if (shown < groups.size()) {
    total rest;
    for (std::size_t i = shown; i < groups.size(); ++i) {
      rest.bytes += groups[i].bytes;
      rest.blocks += groups[i].blocks;
    }
    absl::StrAppendFormat(&text, "\n%s in %s from %s more\n", counted(rest.bytes, "byte"),
                          counted(rest.blocks, "block"), counted(groups.size() - shown, "place"));
  }
  append_layers(text, from);

  if (const auto open = under_way(from); !open.empty()) {
    text += "\nunder way when the log ends:\n";
    for (const auto& [line, entry] : open) {
      absl::StrAppendFormat(&text, "    %s %d %s%s (line %d)\n", entry.first->name, entry.second->call.number,
                            name_of(entry.second->call.what), arguments_of(entry.second->call), line);
    }
  }
  bool first = true;
  for (const sentence& s : kSentences) {
    const occurrence& found = from.count(s.what);
    if (found.times == 0) continue;
    if (std::exchange(first, false)) text += "\nwhat does not add up:\n";
    absl::StrAppendFormat(&text, "    %s %s, %s line %d\n", grouped(found.times), found.times == 1 ? s.one : s.more,
                          found.times == 1 ? "in" : "the first in", found.first_line);
  }
  absl::StrAppendFormat(&text, "\n%s read, %s of them no part of a log\n", counted(from.lines(), "line"),
                        grouped(from.others()));
  return text;
}

std::string leaks_as_json(const live_set& from) {
  const total live = live_in_all(from);
  std::string text =
      absl::StrFormat("{\n  \"live\": {\"bytes\": %d, \"blocks\": %d},\n  \"groups\": [", live.bytes, live.blocks);
  const char* comma = "";
  for (const group& g : grouped_by_stack(from)) {
    absl::StrAppendFormat(&text,
                          "%s\n    {\"layer\": %s, \"bytes\": %d, \"blocks\": %d, \"first\": \"0x%x\", \"frames\": [",
                          std::exchange(comma, ","), json(g.layer->name), g.bytes, g.blocks, g.lowest);
    const char* inner = "";
    for_each_frame(g.stack, [&](std::uint64_t code) {
      absl::StrAppendFormat(&text, "%s{\"address\": \"0x%x\", \"function\": %s}", std::exchange(inner, ", "), code,
                            json(from.function(code)));
    });
    text += "]}";
  }
  text += "\n  ],\n  \"layers\": [";
  comma = "";
  for (const logged_layer& layer : from.layers()) {
    const total in = live_in(layer);
    absl::StrAppendFormat(&text,
                          "%s\n    {\"name\": %s, \"live_bytes\": %d, \"live_blocks\": %d, \"allocations\": %d, "
                          "\"reallocations\": %d, \"deallocations\": %d, \"failed\": %d, \"misuse\": %d}",
                          std::exchange(comma, ","), json(layer.name), in.bytes, in.blocks, layer.calls[0],
                          layer.calls[2], layer.calls[1], layer.failed, layer.misuse);
  }
  text += "\n  ],\n  \"under_way\": [";
  comma = "";
  for (const auto& [line, entry] : under_way(from)) {
    const call& c = entry.second->call;
    absl::StrAppendFormat(&text,
                          "%s\n    {\"layer\": %s, \"call\": %d, \"verb\": \"%s\", \"pointer\": \"0x%x\", "
                          "\"bytes\": %d, \"thread\": %d, \"line\": %d}",
                          std::exchange(comma, ","), json(entry.first->name), c.number, name_of(c.what), c.pointer,
                          c.bytes, c.thread, line);
  }
  text += "\n  ],\n  \"does_not_add_up\": {";
  comma = "";
  for (const sentence& s : kSentences) {
    const occurrence& found = from.count(s.what);
    if (found.times == 0) continue;
    absl::StrAppendFormat(&text, "%s\n    \"%s\": {\"times\": %d, \"first_line\": %d}", std::exchange(comma, ","),
                          s.key, found.times, found.first_line);
  }
  absl::StrAppendFormat(&text, "\n  },\n  \"lines\": {\"read\": %d, \"other\": %d}\n}\n", from.lines(), from.others());
  return text;
}

}  // namespace tools
