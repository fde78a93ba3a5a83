// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <span>

module strata.pmr:shadow_calls.impl;

import :allocation_error;
import :call_stack;
import :finding;
import :layer;
import :ledger;
import :misuse;
import :refusals;
import :report;
import :shadow_calls;
import :shadow_options;
import :shadow_sites;

import strata.mem;

namespace strata::pmr {

namespace {

misuse_kind kind_of(mem::shadow_answer answer) noexcept {
  switch (answer) {
    case mem::shadow_answer::freed:
      return misuse_kind::none;
    case mem::shadow_answer::wrong_size:
      return misuse_kind::wrong_size;
    case mem::shadow_answer::wrong_alignment:
      return misuse_kind::wrong_alignment;
    case mem::shadow_answer::freed_before:
      return misuse_kind::freed_twice;
    case mem::shadow_answer::inside:
      return misuse_kind::inside;
    case mem::shadow_answer::no_block:
      return misuse_kind::foreign;
  }
  return misuse_kind::foreign;
}

// Nobody else has anything on a block's pages, though others' blocks are in the same memory. They stay hidden: all that
// ever lies there is the next block, and no address of a shadow's is ever anything else.
void hide_round(void* block, std::size_t bytes) noexcept {
  const std::size_t page = mem::page_bytes();
  const std::size_t front = mem::address(block) & (page - 1);
  mem::hide(mem::at<void>(block, -static_cast<std::ptrdiff_t>(front)), mem::round_up(front + bytes, page));
  mem::show(block, bytes);
}

}  // namespace

shadow_calls::shadow_calls(const shadow& options)
    : options_((check_shadow(options), options)), pool_(plan_of(options)), sampler_(options.one_in) {
  unopened_ = pool_.open();
  if (unopened_.failed() && options.strict) {
    throw allocation_error(options.name, 0, 1, "the OS gives no memory that could be mapped more than once", unopened_);
  }
}

void* shadow_calls::allocate(std::size_t bytes, std::size_t alignment, const void* caller) noexcept {
  const mem::shadow_pool::served got = pool_.allocate(bytes, alignment, note_site(options_.stack_depth, caller));
  if (got.block != nullptr) {
    if (mem::inspected()) hide_round(got.block, bytes);
    ledger_.handed_out(bytes);
  } else {
    note_refusal(got);
  }
  return got.block;
}

void shadow_calls::note_refusal(const mem::shadow_pool::served& refused) noexcept {
  switch (refused.why) {
    case mem::shadow_refusal::none:
    case mem::shadow_refusal::too_large:
      too_large_.note(refused.error);
      return;
    case mem::shadow_refusal::forked:
      in_child_.note(refused.error);
      return;
    case mem::shadow_refusal::mappings:
    case mem::shadow_refusal::addresses:
      by_budget_.note(refused.error);
      break;
    case mem::shadow_refusal::memory:
    case mem::shadow_refusal::machine:
      by_memory_.note(refused.error);
      break;
    case mem::shadow_refusal::os:
      by_os_.note(refused.error);
      break;
  }
  if (options_.when_short == shadow_shortage::sampled) sampler_.make_rarer();  // what is left lasts longer
}

void shadow_calls::deallocate(void* p, std::size_t bytes, std::size_t alignment, const void* caller) {
  if (!pool_.owns(p)) {
    const mem::shadow_zone* const zone = pool_.space().known_zone(p);
    report_misuse({.layer = options_.name,
                   .sentence = describe(zone == nullptr ? misuse_kind::foreign : misuse_kind::elsewhere),
                   .pointer = p,
                   .bytes = bytes,
                   .alignment = alignment,
                   .thread = this_thread_serial(),
                   .detail = zone == nullptr ? nullptr : zone->name.data()});
    return;
  }
  const mem::shadow_pool::taken taken = pool_.deallocate(p, bytes, alignment, note_site(options_.stack_depth, caller));
  if (taken.answer == mem::shadow_answer::freed) {
    ledger_.taken_back(bytes);
    return;
  }
  const block_trace trace{.pointer = taken.block,
                          .bytes = taken.note.bytes,
                          .alignment = std::size_t{1} << taken.note.alignment_log2,
                          .allocated = site_of(taken.note.made),
                          .freed = site_of(taken.note.freed)};
  report_misuse({.layer = options_.name,
                 .sentence = describe(kind_of(taken.answer)),
                 .pointer = p,
                 .bytes = bytes,
                 .alignment = alignment,
                 .thread = this_thread_serial(),
                 .detail = taken.block == nullptr ? "no block was ever handed out there" : nullptr,
                 .blocks = std::span(&trace, taken.block == nullptr ? 0U : 1U)});
}

statistics shadow_calls::stats() const noexcept {
  const mem::shadow_figures now = pool_.figures();
  statistics figures = ledger_.figures();
  figures.upstream = now.memory;
  figures.from_second = now.memory;
  figures.kept = now.memory - now.held;
  figures.overhead = now.held - figures.live;
  return figures;
}

std::size_t shadow_calls::unguarded() const noexcept {
  std::size_t times = 0;
  for (const refusals* each : {&by_budget_, &by_memory_, &by_os_, &in_child_, &too_large_}) {
    times += each->because(nullptr).times;
  }
  return times;
}

std::size_t shadow_calls::degraded(std::span<degradation> out) const noexcept {
  const mem::shadow_figures now = pool_.figures();
  const mem::os_error unknown = pool_.unknown_to_fork();
  return tell(
      {{"deallocated blocks could not be made to fault, and are not watched: raise max_mappings, or do not lock memory",
        {},
        now.exposed},
       {"no block is watched: the OS gives no memory that could be mapped more than once", unopened_,
        unopened_.failed() ? 1U : 0U},
       by_budget_.because("blocks are not watched, since mappings or addresses are used up: raise max_mappings or "
                          "max_address_bytes, or shadow fewer (one_in)"),
       by_memory_.because("blocks are not watched, since there is no memory for them: raise max_bytes, or shadow fewer "
                          "(one_in)"),
       by_os_.because("blocks are not watched, since the OS refuses what that takes"),
       in_child_.because("blocks are not watched in this child of fork(), which has no copy of them"),
       too_large_.because("blocks are not watched that are larger than 512 GiB or aligned to more than a zone"),
       {"guards cost mappings, since this OS knows no others (Linux 6.15 does)", {}, pool_.protects() ? 1U : 0U},
       {"the lock is not known to fork(): a child forked while another thread allocates may hang; do not fork", unknown,
        unknown.failed() ? 1U : 0U},
       {"call stacks are no longer kept: there are too many different ones; lower stack_depth", {}, sites_refused()}},
      out);
}

}  // namespace strata::pmr
