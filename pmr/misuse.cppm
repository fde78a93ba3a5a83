// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>

export module strata.pmr:misuse;

/// What a layer does when it is used wrongly: it says so, in one sentence, to a handler that by default prints and
/// aborts.
///
/// A misuse is a fault of the program, not a state of memory: it is never an exception. The layer has not changed
/// anything when it reports, so a handler that returns leaves it usable: the call in question then has no effect.
/// Reporting allocates nothing and holds no lock.
export namespace strata::pmr {

struct misuse {
  const char* layer;              ///< name of the layer that noticed
  const char* sentence;           ///< what is wrong; one distinct sentence for each kind of misuse
  const void* pointer = nullptr;  ///< the block in question, if any
  std::size_t bytes = 0;          ///< size as passed by the caller
  std::size_t alignment = 0;      ///< alignment as passed by the caller
};

using misuse_handler = void (*)(const misuse&);

/// Replaces the handler for the whole process and returns the one before. Null restores the default. Any thread, any
/// time.
misuse_handler set_misuse_handler(misuse_handler handler) noexcept;

/// Hands `what` to the handler. For layers, also those written by users.
void report_misuse(const misuse& what) noexcept;

}  // namespace strata::pmr
