// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdio>

export module strata.pmr:heap_dump;

import :text_sink;

import strata.mem;

/// A heap, written down: a line for each arena and each block, for `strata heapmap` and for people.
///
///   strata-heap 1 <name>
///   arena <start> <bytes>                    its blocks follow
///   <state> <payload> <bytes> <asked>        used, movable, kept or free; bytes with the word in front of the payload
///   end <arenas> <blocks>
///
/// Addresses and names as text_line writes them, other numbers decimal.
export namespace strata::pmr {

class heap_dump {
 public:
  /// Writes the head. Allocates nothing of its own.
  heap_dump(std::FILE* out, const char* name);
  ~heap_dump();  ///< writes the end
  heap_dump(const heap_dump&) = delete;
  heap_dump& operator=(const heap_dump&) = delete;

  void add(const mem::region& arena);
  void add(const mem::heap_block& b);

 private:
  const text_sink out_;
  std::size_t arenas_ = 0;
  std::size_t blocks_ = 0;
};

}  // namespace strata::pmr
