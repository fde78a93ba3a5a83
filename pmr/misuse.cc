// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <span>
#include <string_view>

module strata.pmr:misuse.impl;

import :call_stack;
import :misuse;
import :text_sink;

import strata.mem;

namespace strata::pmr {

namespace {

text_line line_of(const misuse& what) noexcept {
  text_line line;
  line << "strata: " << what.layer << ": " << what.sentence;
  if (what.detail != nullptr) line << ": " << what.detail;
  if (what.pointer != nullptr) {
    line << " (block " << what.pointer << ", " << what.bytes << " bytes aligned to " << what.alignment;
    if (what.thread != 0) line << ", thread " << std::size_t{what.thread};
    line << ")";
  } else if (what.count != 0) {
    line << " (" << what.count << (what.count == 1 ? " block, " : " blocks, ") << what.bytes << " bytes)";
  }
  return line;
}

// The byte that is wrong, and how it lies to the block.
void print_place(const misuse& what, const text_sink& out) noexcept {
  text_line line;
  line << "  byte " << what.where;
  if (!what.blocks.empty()) {
    const auto* const at = static_cast<const char*>(what.where);
    const auto* const start = static_cast<const char*>(what.blocks[0].pointer);
    const char* const end = start + what.blocks[0].bytes;
    if (at < start) {
      line << " is number " << static_cast<std::size_t>(start - at) << " before its start";
    } else if (at >= end) {
      line << " is number " << static_cast<std::size_t>(at - end) + 1 << " after its end";
    } else {
      line << " is number " << static_cast<std::size_t>(at - start) << " of it, counted from 0";
    }
  }
  line.write_to(out);
}

// Whether a function is what a memory_resource overrides: how a call came in, not who made it.
bool is_way_in(std::string_view function) noexcept {
  return function.find("do_allocate") != function.npos || function.find("do_deallocate") != function.npos;
}

void print_site(const char* verb, const call_site& site, const text_sink& out) noexcept {
  text_line head;
  head << "    " << verb << " by thread " << std::size_t{site.thread};
  head.write_to(out);
  std::size_t number = 0;
  for (const void* const frame : site.stack) {
    std::array<char, 512> name;
    const char* const function = name_function(frame, name) ? name.data() : "?";
    if (number == 0 && is_way_in(function)) continue;
    text_line line;
    line << "      #" << number++ << " " << frame << " " << function;
    line.write_to(out);
  }
}

[[noreturn]] void print_and_abort(const misuse& what) {
  print_misuse(what);
  std::abort();
}

constinit std::atomic<misuse_handler> current{&print_and_abort};

}  // namespace

misuse_handler set_misuse_handler(misuse_handler handler) noexcept {
  return current.exchange(handler == nullptr ? &print_and_abort : handler);
}

void report_misuse(const misuse& what) noexcept {
  mem::expect_no_lock_held("the handler of misuse");
  current.load()(what);
}

void print_misuse(const misuse& what, const text_sink& out) noexcept {
  line_of(what).write_to(out);
  if (what.where != nullptr) print_place(what, out);
  for (const block_trace& block : what.blocks) {
    text_line line;
    line << "  block " << block.pointer << ", " << block.bytes << " bytes aligned to " << block.alignment;
    if (block.number != 0) line << ", of call " << std::size_t{block.number};
    line.write_to(out);
    print_site("allocated", block.allocated, out);
    if (block.freed.thread != 0) print_site("deallocated", block.freed, out);
  }
}

misuse_error::misuse_error(const misuse& what) noexcept
    : layer_(what.layer), sentence_(what.sentence), pointer_(what.pointer) {
  const text_line line = line_of(what);
  text_[line.text().copy(text_, sizeof(text_) - 1)] = '\0';
}

const char* misuse_error::what() const noexcept { return text_; }

}  // namespace strata::pmr
