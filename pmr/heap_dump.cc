// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdio>

module strata.pmr:heap_dump.impl;

import :heap_dump;

import strata.mem;

namespace strata::pmr {

namespace {

const char* state_of(const mem::heap_block& b) {
  if (b.used) return b.movable ? "movable" : "used";
  return b.kept ? "kept" : "free";
}

}  // namespace

heap_dump::heap_dump(std::FILE* out, const char* name) : out_(out) {
  std::fputs("strata-heap 1 ", out_);
  for (const char* c = name; *c != '\0'; ++c) {
    const bool plain = *c > ' ' && *c < 0x7F && *c != '%' && *c != ',' && *c != '=';
    plain ? std::fputc(*c, out_) : std::fprintf(out_, "%%%02X", static_cast<unsigned char>(*c));
  }
  std::fputc('\n', out_);
}

heap_dump::~heap_dump() { std::fprintf(out_, "end %zu %zu\n", arenas_, blocks_); }

void heap_dump::add(const mem::region& arena) {
  ++arenas_;
  std::fprintf(out_, "arena 0x%zx %zu\n", mem::address(&arena), arena.bytes);
}

void heap_dump::add(const mem::heap_block& b) {
  ++blocks_;
  std::fprintf(out_, "%s 0x%zx %zu %zu\n", state_of(b), mem::address(b.start) + mem::block::overhead, b.bytes, b.asked);
}

}  // namespace strata::pmr
