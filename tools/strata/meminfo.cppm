// SPDX-License-Identifier: Apache-2.0
module;
#include <cstdint>
#include <string>
#include <vector>

export module strata_tools:meminfo;

import strata.platform;

/// `strata meminfo`: what the machine has of memory, and what of it this process may have, in one table.
export namespace strata_tools {

/// Every fact at one go. Bytes throughout; what is not known is 0 or missing, as the platform says.
struct machine_memory {
  strata::platform::memory_status memory;
  std::string limit_origin;
  strata::platform::lock_status locks;
  std::vector<strata::platform::page_pool> pools;
  std::vector<strata::platform::large_page_mode> modes;
  std::vector<strata::platform::memory_file_system> file_systems;
};

/// `root` is put before every path read: a test's tree.
[[nodiscard]] machine_memory read_machine_memory(const std::string& root);

/// For people: a figure a line.
[[nodiscard]] std::string as_table(const machine_memory& found);

/// For programs: one object, bytes as numbers; what is not known is null.
[[nodiscard]] std::string as_json(const machine_memory& found);

}  // namespace strata_tools
