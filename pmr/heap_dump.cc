// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdio>

module strata.pmr:heap_dump.impl;

import :heap_dump;
import :text_sink;

import strata.mem;

namespace strata::pmr {

namespace {

const char* state_of(const mem::heap_block& b) {
  if (b.used) return b.movable ? "movable" : "used";
  return b.kept ? "kept" : "free";
}

}  // namespace

heap_dump::heap_dump(std::FILE* out, const char* name) : out_(out) {
  text_line line;
  (line << "strata-heap 1 ").word(name).write_to(out_);
}

heap_dump::~heap_dump() {
  text_line line;
  (line << "end " << arenas_ << " " << blocks_).write_to(out_);
}

void heap_dump::add(const mem::region& arena) {
  ++arenas_;
  text_line line;
  (line << "arena " << &arena << " " << arena.bytes).write_to(out_);
}

void heap_dump::add(const mem::heap_block& b) {
  ++blocks_;
  const std::byte* const payload = mem::at<std::byte>(b.start, mem::block::overhead);
  text_line line;
  (line << state_of(b) << " " << payload << " " << b.bytes << " " << b.asked).write_to(out_);
}

}  // namespace strata::pmr
