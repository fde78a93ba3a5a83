// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <span>

module strata.pmr:fault_report.impl;

import :call_stack;
import :fault_report;
import :misuse;
import :shadow_sites;
import :text_sink;

import strata.mem;

namespace strata::pmr {

namespace {

// Set before the hook is, and read by handlers.
text_sink sink = text_sink::console();

void explain(const mem::memory_fault& fault) noexcept { explain_fault(fault, sink); }

const char* describe(mem::shadow_state state, mem::fault_access access) noexcept {
  const bool ended = state == mem::shadow_state::live;
  switch (access) {
    case mem::fault_access::load:
      return ended ? "use after its memory ended: a load from a block"
                   : "use after free: a load from a block that was deallocated";
    case mem::fault_access::store:
      return ended ? "use after its memory ended: a store to a block"
                   : "use after free: a store to a block that was deallocated";
    case mem::fault_access::fetch:
      return ended ? "use after its memory ended: a jump into a block"
                   : "use after free: a jump into a block that was deallocated";
    case mem::fault_access::unknown:
      break;
  }
  return ended ? "use after its memory ended: an access to a block"
               : "use after free: an access to a block that was deallocated";
}

}  // namespace

bool explain_fault(const mem::memory_fault& fault, const text_sink& out) noexcept {
  const mem::shadow_space& space = mem::shadow_space::of_process();
  const mem::shadow_zone* const zone = space.known_zone(fault.address);
  if (zone == nullptr) return false;
  const mem::shadow_space::found found = space.block_at(fault.address);
  if (!found.is_there) {
    print_misuse({.layer = zone->name.data(),
                  .sentence = "an access to its address space where no block was handed out",
                  .thread = this_thread_serial(),
                  .where = fault.address},
                 out);
    return true;
  }
  const block_trace trace{.pointer = found.block,
                          .bytes = found.note.bytes,
                          .alignment = std::size_t{1} << found.note.alignment_log2,
                          .allocated = site_of(found.note.made),
                          .freed = site_of(found.note.freed)};
  print_misuse({.layer = zone->name.data(),
                .sentence = describe(found.note.state, fault.access),
                .pointer = trace.pointer,
                .bytes = trace.bytes,
                .alignment = trace.alignment,
                .thread = this_thread_serial(),
                .where = fault.address,
                .blocks = std::span(&trace, 1)},
               out);
  return true;
}

mem::os_error report_faults(const fault_reports& how) noexcept {
  if (mem::has_address_sanitizer && !how.under_asan) return {};
  sink = how.print;
  return mem::install_fault_hook(&explain);
}

mem::os_error stop_reporting_faults() noexcept { return mem::uninstall_fault_hook(); }

}  // namespace strata::pmr
