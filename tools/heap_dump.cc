// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

module tools:heap_dump.impl;

import :heap_dump;
import :text;
import :words;

namespace tools {
namespace {

constexpr std::string_view kStates[] = {"used", "movable", "kept", "free", "other"};
static_assert(std::size(kStates) == block_states);

block_state state_of(std::string_view word) noexcept {
  const auto* const found = std::find(std::begin(kStates), std::end(kStates), word);
  return found == std::end(kStates) ? block_state::other
                                    : static_cast<block_state>(std::distance(std::begin(kStates), found));
}

/// What a block of this state keeps for itself.
std::uint64_t bookkeeping(block_state state) noexcept {
  return state == block_state::movable ? 24 : dumped_block::word;
}

}  // namespace

std::string_view name_of(block_state state) noexcept { return kStates[static_cast<std::size_t>(state)]; }

std::string_view sentence_of(dump_oddity what) noexcept {
  switch (what) {
    case dump_oddity::damaged:
      return "lines that make no sense, left out";
    case dump_oddity::misplaced:
      return "blocks outside their arena or over another, left out";
    case dump_oddity::asked_too_much:
      return "blocks of which more was asked than they hold";
    case dump_oddity::wrong_count:
      return "other numbers of arenas and blocks than its last line says";
    case dump_oddity::cut_short:
      return "the dump is cut short";
  }
  return {};
}

bool heap_dump::adds_up() const noexcept {
  return std::all_of(odd.begin(), odd.end(), [](const occurrence& o) { return o.times == 0; });
}

void heap_dump_reader::add(std::string_view line, bool whole) {
  ++line_;
  const std::string_view first = line.substr(0, line.find(' '));
  const std::string_view rest = line.substr(std::min(line.size(), first.size() + 1));
  if (first == "strata-heap") {
    if (inside_) note(dump_oddity::cut_short);
    inside_ = false;
    if (whole) open(rest);
  } else if (inside_ && !whole) {
    note(dump_oddity::cut_short);
    inside_ = false;
  } else if (inside_ && first == "arena") {
    add_arena(rest);
  } else if (inside_ && first == "end") {
    close(rest);
  } else if (inside_) {
    add_block(line);
  }
}

std::vector<heap_dump> heap_dump_reader::finish() {
  if (std::exchange(inside_, false)) note(dump_oddity::cut_short);
  return std::move(dumps_);
}

void heap_dump_reader::note(dump_oddity what) {
  heap_dump::occurrence& o = dumps_.back().odd[static_cast<std::size_t>(what)];
  if (o.times++ == 0) o.first_line = line_;
}

void heap_dump_reader::open(std::string_view rest) {
  words fields(rest);
  const std::optional<std::uint64_t> version = number(fields.next());
  if (version && *version != 1) unknown_version_ = true;
  if (version != 1) return;
  dumps_.emplace_back().name = printable(decoded(fields.next()));
  inside_ = true;
}

void heap_dump_reader::close(std::string_view rest) {
  words fields(rest);
  const std::optional<std::uint64_t> arenas = number(fields.next());
  const std::optional<std::uint64_t> blocks = number(fields.next());
  if (!arenas || !blocks) return note(dump_oddity::damaged);
  std::uint64_t seen = 0;
  for (const dumped_arena& a : dumps_.back().arenas) seen += a.blocks.size();
  if (*arenas != dumps_.back().arenas.size() || *blocks != seen) note(dump_oddity::wrong_count);
  inside_ = false;
}

void heap_dump_reader::add_arena(std::string_view rest) {
  words fields(rest);
  const std::optional<std::uint64_t> start = address(fields.next());
  const std::optional<std::uint64_t> bytes = number(fields.next());
  if (!start || !bytes || *bytes == 0 || *start + *bytes < *start) return note(dump_oddity::damaged);
  dumps_.back().arenas.push_back({*start, *bytes, {}});
}

void heap_dump_reader::add_block(std::string_view line) {
  words fields(line);
  const block_state state = state_of(fields.next());
  const std::optional<std::uint64_t> payload = address(fields.next());
  const std::optional<std::uint64_t> bytes = number(fields.next());
  const std::optional<std::uint64_t> asked = number(fields.next());
  if (!payload || !bytes || !asked) return note(dump_oddity::damaged);
  if (dumps_.back().arenas.empty()) return note(dump_oddity::misplaced);
  dumped_arena& arena = dumps_.back().arenas.back();
  const std::uint64_t from = arena.blocks.empty() ? arena.start : arena.blocks.back().end();
  const bool placed = *payload >= dumped_block::word && *payload - dumped_block::word >= from &&
                      *bytes >= dumped_block::word && *payload - dumped_block::word < arena.end() &&
                      *bytes <= arena.end() - (*payload - dumped_block::word);
  if (!placed) return note(dump_oddity::misplaced);
  dumped_block block{*payload, *bytes, *asked, state};
  if (const std::uint64_t own = bookkeeping(state); *asked != 0 && (*bytes < own || *asked > *bytes - own)) {
    note(dump_oddity::asked_too_much);
    block.asked = *bytes - std::min(*bytes, own);
  }
  arena.blocks.push_back(block);
}

}  // namespace tools
