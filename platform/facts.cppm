// SPDX-License-Identifier: Apache-2.0
module;
#include <cstdint>
#include <string_view>

#include "absl/functional/function_ref.h"

export module strata.platform:facts;

/// What there is to know about memory on this machine and for this process, one thing at a time, for people to read and
/// tools to pass on. Code that decides something asks :memory, :lock, :page and :large_page, where most of it comes from.
///
/// Threads  any; the figures of one call are read one after the other and are no snapshot
/// Signals  not for signal handlers; takes about 80 KiB of stack
/// Errors   none: what the OS does not tell is left out
export namespace strata::platform {

enum class fact_unit : std::uint8_t {
  bytes,
  count,
  text,
};

struct fact {
  std::string_view
      group;  ///< what it is about: "memory", "limit", "locked", "pages", "pools", "policy", "shared", "tmpfs", "cache"
  std::string_view name;  ///< in its group; of a mounted file system its path
  fact_unit unit = fact_unit::bytes;
  std::uint64_t number = 0;
  std::string_view text{};  ///< when that is the unit
};

/// Shows every fact to `visitor`, group by group; views are valid during its call. `root` is put before every path read:
/// a test's tree.
void facts(absl::FunctionRef<void(const fact&)> visitor, const char* root = "");

}  // namespace strata::platform
