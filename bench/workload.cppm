// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <memory>
#include <memory_resource>

export module bench:workload;

/// What a workload is: a load, set up in some memory, that can run any number of operations.
export namespace bench {

/// Everything it allocates for its operations comes from the memory it was made in and is given back when it is
/// destroyed. Its own books lie elsewhere.
class load {
 public:
  load() = default;
  load(const load&) = delete;
  load& operator=(const load&) = delete;
  virtual ~load() = default;

  virtual void run(std::uint64_t operations) = 0;
};

struct workload {
  const char* name;
  const char* what;          ///< what one operation is
  std::uint64_t operations;  ///< in one measurement
  std::unique_ptr<load> (*make)(std::pmr::memory_resource* memory);
};

/// Alignment of blocks whose size is left to chance. The pools of libstdc++ 12 misalign blocks of such sizes when asked
/// for 16.
inline constexpr std::size_t any_size_alignment = 8;

/// The same pointer, of which the compiler no longer knows where it points: every call through it is a virtual call.
inline std::pmr::memory_resource* opaque(std::pmr::memory_resource* memory) {
  asm volatile("" : "+r"(memory) : : "memory");
  return memory;
}

/// Writes the first and the last byte of a block, as any use would at least.
inline void touch(void* block, std::size_t bytes) {
  auto* at = static_cast<volatile char*>(block);
  at[0] = 1;
  at[bytes - 1] = 1;
}

}  // namespace bench
