// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <memory_resource>
#include <span>

/// Memory of one kind, as the misuses see it: something blocks come from and go back to.
class memory {
 public:
  memory() = default;
  memory(const memory&) = delete;
  memory& operator=(const memory&) = delete;
  virtual ~memory() = default;

  [[nodiscard]] virtual void* get(std::size_t bytes, std::size_t alignment) = 0;
  virtual void give(void* p, std::size_t bytes, std::size_t alignment) = 0;
  /// All blocks are void. False when there is no such call: then it takes destruction.
  [[nodiscard]] virtual bool release() { return false; }
  /// Null where blocks are of one shape and no memory_resource is asked.
  [[nodiscard]] virtual std::pmr::memory_resource* resource() { return nullptr; }
};

struct subject {
  const char* name;
  std::size_t bytes;  ///< of the block that is misused
  bool is_sized;      ///< whether size and alignment come with the calls at all
  std::unique_ptr<memory> (*open)(const char* name);
  /// The same below a debug_adaptor of this name. Null: none can stand there.
  std::unique_ptr<memory> (*open_watched)(const char* name);
};

[[nodiscard]] std::span<const subject> all_subjects();
