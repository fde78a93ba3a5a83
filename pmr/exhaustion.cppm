// SPDX-License-Identifier: Apache-2.0
export module strata.pmr:exhaustion;

import :allocation_error;

/// What becomes of a request that a layer with a fixed amount of memory cannot serve.
export namespace strata::pmr {

enum class exhaustion : bool {
  throws,  ///< the error is thrown
  aborts,  ///< the error's sentence is printed, and the process ends: for programs that cannot go on without
};

/// Does as `policy` says. For layers, also those written by users. Allocates nothing when it aborts.
[[noreturn]] void fail(exhaustion policy, const allocation_error& error);

}  // namespace strata::pmr
