// SPDX-License-Identifier: Apache-2.0
module;
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <memory_resource>
#include <vector>

export module bench:workload;

import :subject;
import :unit;

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

  /// Runs at least one operation, and more than asked for where they come in batches. Returns how many.
  virtual std::uint64_t run(std::uint64_t operations) = 0;
};

struct workload {
  const char* name;
  const char* what;                    ///< what one operation is, or what is measured
  std::array<const char*, 4> figures;  ///< names of what comes out, null where there are fewer
  unit counted_in;
  unsigned threads;          ///< above one it is timed by the wall clock, else in processor time of its thread
  std::size_t live;          ///< size of the live set, batch or container; bytes for memory
  std::uint64_t operations;  ///< in one measurement of the full form

  /// One of these. A load is timed, any other workload measures itself: one number a figure.
  std::unique_ptr<load> (*make)(std::pmr::memory_resource* memory, std::size_t live);
  std::vector<double> (*measure)(subject& where, const workload& what, std::uint64_t operations);
};

/// Alignment of blocks whose size is left to chance. The pools of libstdc++ 12 misalign blocks of such sizes when asked
/// for 16.
inline constexpr std::size_t any_size_alignment = 8;

/// The same pointer, of which the compiler no longer knows where it points: every call through it is a virtual call.
inline std::pmr::memory_resource* opaque(std::pmr::memory_resource* memory) {
  asm volatile("" : "+r"(memory) : : "memory");
  return memory;
}

/// A block from a resource that may not align it as asked: the compiler, told by the library that all do, must neither
/// build on it nor check it.
[[clang::no_sanitize("alignment")]] inline void* allocate_unsure(std::pmr::memory_resource& memory, std::size_t bytes,
                                                                 std::size_t alignment) {
  void* block = memory.allocate(bytes, alignment);
  asm volatile("" : "+r"(block));
  return block;
}

/// Writes the first and the last byte of a block, as any use would at least.
inline void touch(void* block, std::size_t bytes) {
  auto* at = static_cast<volatile char*>(block);
  at[0] = 1;
  at[bytes - 1] = 1;
}

}  // namespace bench
