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

/// What a memory can write about itself; empty for what it cannot.
struct speaker {
  std::function<void(std::FILE*)> report;  ///< how its layers stand
  std::function<void(std::FILE*)> dump;    ///< its heap, block by block
};

/// The job to be done in a memory.
using job = std::function<void(std::pmr::memory_resource&, const speaker&)>;

struct memory {
  const char* name;              ///< for --memory and the table
  const char* what;              ///< what it is made of
  void (*run)(const job& work);  ///< builds the memory, does the job in it, destroys it
};

/// Every memory there is, the one that all others are compared with first.
[[nodiscard]] std::span<const memory> memories() noexcept;

/// Returns the memory called `name`, or null.
[[nodiscard]] const memory* find_memory(std::string_view name) noexcept;

/// The memory that can write a dump.
[[nodiscard]] const memory& heap_memory() noexcept;

}  // namespace index_headers
