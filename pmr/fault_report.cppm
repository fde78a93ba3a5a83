// SPDX-License-Identifier: Apache-2.0
module;

export module strata.pmr:fault_report;

import :text_sink;

import strata.mem;

/// Says what a fault was about, when the address is that of a block that a shadow_resource handed out: load or store, which
/// byte of which block, who allocated it and who deallocated it. Then the process goes the way it would have gone.
///
///     strata: sessions: use after free: a load from a block that was deallocated (block 0x7f…, 48 bytes aligned to 8, …)
///       byte 0x7f… is number 8 of it, counted from 0
///       block 0x7f…, 48 bytes aligned to 8
///         allocated by thread 1
///           #0 0x55… session_table::open()
///         deallocated by thread 2
///           #0 0x55… session_table::close()
///
/// One switch for the process. Faults elsewhere are handed on without a word. Printing is done in the signal handler of the
/// thread that faulted, on its alternate stack if it has one (mem::alternate_stack), with async-signal-safe calls alone;
/// names of functions come from Abseil's symbolizer, which is: call absl::InitializeSymbolizer() when the program starts
/// for better ones.
export namespace strata::pmr {

struct fault_reports {
  text_sink print = text_sink::console();  ///< called in a signal handler
  bool under_asan = false;                 ///< also in a build with AddressSanitizer, which explains faults itself
};

/// Faults are explained from now on. Nothing happens, and no error, under AddressSanitizer unless told so. Again: the new
/// options count. Refused: somebody else has the platform's hook (EBUSY), or the OS refuses.
[[nodiscard]] mem::os_error report_faults(const fault_reports& how = {}) noexcept;

/// No more. Success also when they were not.
mem::os_error stop_reporting_faults() noexcept;

/// Prints what report_faults() would for this access; false, and nothing, when the address is no shadowed block's. May be
/// called in a signal handler, and by handlers of a program's own.
bool explain_fault(const mem::memory_fault& fault, const text_sink& out) noexcept;

}  // namespace strata::pmr
