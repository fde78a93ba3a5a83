// SPDX-License-Identifier: Apache-2.0
module;

export module strata.mem:fault;

import strata.platform;

/// The platform's hook for memory faults, passed on, and what a handler may print with: whoever knows what lies where can
/// say what a fault was.
export namespace strata::mem {

using platform::alternate_stack;
using platform::fault_access;
using platform::fault_callback;
using platform::install_fault_hook;
using platform::memory_fault;
using platform::uninstall_fault_hook;
using platform::write_to_console;

}  // namespace strata::mem
