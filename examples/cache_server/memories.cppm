// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <memory_resource>
#include <span>
#include <string_view>

#include "absl/functional/function_ref.h"

export module cache_server:memories;

/// The memories that items may live in, by name. Each serves any thread.
export namespace cache_server {

/// What is done with a memory, which lives as long as that takes.
using memory_work = absl::FunctionRef<void(std::pmr::memory_resource& memory)>;

struct memory_sizes {
  std::size_t budget =
      0;  ///< bytes that items may have: what is made in one piece is made for that, with some to spare
  std::size_t most_from_os = 0;  ///< bytes; 0: as much as there is
};

struct memory {
  std::string_view name;
  const char* what;
  void (*with)(const memory_sizes& sizes, memory_work work);
};

[[nodiscard]] std::span<const memory> memories() noexcept;
[[nodiscard]] const memory* find_memory(std::string_view name) noexcept;

}  // namespace cache_server
