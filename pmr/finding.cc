// SPDX-License-Identifier: Apache-2.0
module;
#include <span>

module strata.pmr:finding.impl;

import :call_stack;
import :finding;
import :misuse;

import strata.mem;

namespace strata::pmr {

block_trace block_copy::trace() const noexcept {
  return {.pointer = pointer,
          .bytes = bytes,
          .alignment = alignment,
          .number = number,
          .allocated = {made_by, std::span(made_at).first(made_depth)},
          .freed = {freed_by, std::span(freed_at).first(freed_depth)}};
}

const char* describe(misuse_kind kind) noexcept {
  switch (kind) {
    case misuse_kind::none:
      return "nothing is wrong";
    case misuse_kind::overrun:
      return "a block was written beyond its end";
    case misuse_kind::underrun:
      return "a block was written before its start";
    case misuse_kind::written_after_free:
      return "a block was written after it was deallocated";
    case misuse_kind::wrong_size:
      return "a block comes back with another size than it was allocated with";
    case misuse_kind::wrong_alignment:
      return "a block comes back with another alignment than it was allocated with";
    case misuse_kind::freed_twice:
      return "a block comes back that was deallocated before";
    case misuse_kind::inside:
      return "a pointer comes back that lies inside a block and is not its start";
    case misuse_kind::elsewhere:
      return "a block comes back that is of another memory";
    case misuse_kind::foreign:
      return "a pointer comes back that is of no block";
    case misuse_kind::handed_out_twice:
      return "the memory below has handed out a block that it had handed out before";
    case misuse_kind::below:
      return "the memory below is damaged";
    case misuse_kind::books:
      return "what is known of the blocks is damaged";
    case misuse_kind::damaged:
      return "used after damage was found in it: nothing is served any more";
    case misuse_kind::leak:
      return "destroyed with live blocks: nobody gives them back any more";
    case misuse_kind::tolerated:
      return "a zero was written right after a block's end";
  }
  return "";
}

bool is_damage(misuse_kind kind) noexcept {
  switch (kind) {
    case misuse_kind::overrun:
    case misuse_kind::underrun:
    case misuse_kind::written_after_free:
    case misuse_kind::handed_out_twice:
    case misuse_kind::below:
    case misuse_kind::books:
      return true;
    default:
      return false;
  }
}

}  // namespace strata::pmr
