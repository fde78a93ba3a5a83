// SPDX-License-Identifier: Apache-2.0
#ifndef STRATA_TESTS_PMR_WATCHED_MEMORY_H_
#define STRATA_TESTS_PMR_WATCHED_MEMORY_H_

#include <cstddef>
#include <cstdio>
#include <string>
#include <vector>

/// What the tests of the debugging layer share.
namespace strata::pmr {

/// The lines written to a text_sink.
struct kept_lines {
  std::vector<std::string> lines;

  static void keep(void* to, const char* text, std::size_t bytes) noexcept {
    static_cast<kept_lines*>(to)->lines.emplace_back(text, bytes);
  }
  [[nodiscard]] std::string all() const {
    std::string text;
    for (const std::string& line : lines) text += line;
    return text;
  }
};

/// What a call of print_misuse or of a handler is about, kept beyond it.
struct kept_misuses {
  struct one {
    std::string sentence;
    std::string detail;
    const void* pointer;
    std::size_t bytes;
    std::size_t alignment;
    const void* where;
    std::size_t count;
    const void* block;  ///< the one known, if any
    std::size_t block_bytes;
    std::size_t allocated_depth;
    std::size_t freed_depth;
  };
  std::vector<one> seen;

  template <class Misuse>
  static void keep(void* to, const Misuse& what) {
    const bool known = !what.blocks.empty();
    static_cast<kept_misuses*>(to)->seen.push_back(
        {.sentence = what.sentence,
         .detail = what.detail == nullptr ? "" : what.detail,
         .pointer = what.pointer,
         .bytes = what.bytes,
         .alignment = what.alignment,
         .where = what.where,
         .count = what.count,
         .block = known ? what.blocks[0].pointer : nullptr,
         .block_bytes = known ? what.blocks[0].bytes : 0,
         .allocated_depth = known ? what.blocks[0].allocated.stack.size() : 0,
         .freed_depth = known ? what.blocks[0].freed.stack.size() : 0});
  }
  /// The sentence of the last one, or "".
  [[nodiscard]] std::string last() const { return seen.empty() ? "" : seen.back().sentence; }
};

}  // namespace strata::pmr

#endif  // STRATA_TESTS_PMR_WATCHED_MEMORY_H_
