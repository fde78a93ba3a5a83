// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "absl/base/thread_annotations.h"

module strata.pmr:call_log.impl;

import :call_log;
import :call_stack;
import :text_sink;

import strata.mem;

namespace strata::pmr {

namespace {

text_line start_of(const char* layer, const call_log::call& what, const char* part) noexcept {
  text_line line;
  line.word(layer) << " " << std::size_t{what.number} << " " << part << " " << what.name;
  return line;
}

}  // namespace

void call_log::write_head() const noexcept {
  text_line line;
  line << "strata-log 1 ";
  line.word(layer_).write_to(to_);
}

void call_log::begin(const call& what) const noexcept {
  mem::expect_no_lock_held("the sink of a call log");
  text_line line = start_of(layer_, what, "begin");
  if (what.alignment != 0) {
    const bool replaces = what.name == std::string_view("reallocate");
    if (const void* const block = replaces ? what.old : what.pointer; block != nullptr) line << " pointer=" << block;
    line << " bytes=" << what.bytes;
    if (replaces) line << " to=" << what.to;
    line << " alignment=" << what.alignment << " thread=" << std::size_t{what.from.thread};
  }
  line.write_to(to_);
}

void call_log::end(const call& what, outcome how) noexcept {
  name_frames(what.from.stack);
  text_line line = start_of(layer_, what, "end");
  if (how != outcome::done) {
    line << (how == outcome::failed ? " failed" : " misuse");
  } else if (what.alignment != 0) {
    line << " pointer=" << what.pointer;
  }
  if (what.alignment != 0) {
    if (what.old != nullptr) line << " from=" << what.old;
    line << " bytes=" << (what.old != nullptr ? what.to : what.bytes) << " alignment=" << what.alignment
         << " thread=" << std::size_t{what.from.thread};
    const char* before = " stack=";
    for (const void* const frame : what.from.stack) {
      line << before << frame;
      before = ",";
    }
  }
  line.write_to(to_);
}

// A frame counts as named once its line is written: whoever sees it so may refer to it.
void call_log::name_frames(std::span<const void* const> stack) noexcept {
  for (const void* const frame : stack) {
    const std::uintptr_t key = mem::address(frame);
    {
      const mem::lock held(lock_);
      if (key == 0 || named_.count(key) != 0) continue;
    }
    std::array<char, 512> name;
    text_line line;
    line << "frame " << frame << " ";
    line.word(name_function(frame, name) ? name.data() : "?").write_to(to_);
    const mem::lock held(lock_);
    if (named_.count(key) == 0 && !named_.prepare(1).failed()) named_.put(key, 1);
  }
}

}  // namespace strata::pmr
