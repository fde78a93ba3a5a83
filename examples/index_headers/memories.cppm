// SPDX-License-Identifier: Apache-2.0
module;
#include <cstdio>
#include <functional>
#include <memory_resource>
#include <span>
#include <string_view>

export module index_headers:memories;

/// The memories that are compared: each a name and one line that builds it.
export namespace index_headers {

/// Prints how a memory stands; empty for one that has nothing to say.
using reporter = std::function<void(std::FILE*)>;

/// The job to be done in a memory.
using job = std::function<void(std::pmr::memory_resource&, const reporter&)>;

struct memory {
  const char* name;              ///< for --memory and the table
  const char* what;              ///< what it is made of
  void (*run)(const job& work);  ///< builds the memory, does the job in it, destroys it
};

/// Every memory there is, the one that all others are compared with first.
[[nodiscard]] std::span<const memory> memories() noexcept;

/// Returns the memory called `name`, or null.
[[nodiscard]] const memory* find_memory(std::string_view name) noexcept;

}  // namespace index_headers
