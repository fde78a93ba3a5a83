// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/base/thread_annotations.h"

export module strata.pmr:segment_resource;

import :layer;
import :ledger;
import :refusals;
import :report;

import strata.mem;

/// Shared memory from the OS, a segment for each block.
///
/// Role           source: the bytes of a stack come from here
/// Upstream       none; the OS
/// Owns           nothing: each block is a segment of its own, given back when deallocated, and its name with it
/// Thread safety  every member from any thread
/// Alignment      any power of two up to 1 GiB; a page at least
/// Size           any; rounded up to whole pages, of ism to large ones; zero takes one page. Named and sealed take a page
///                more, in front, for the header that says where the segment lies
/// Complexity     dozens of system calls: what the machine, the container and the file system have left is asked first
/// Overhead       the rounding; 32 to 64 bytes a block in tables
/// Throws         allocation_error with the OS's errno and what is free, where that is the reason; nothing has changed.
///                Constructed with a name that is none: std::invalid_argument
/// Deallocate     noexcept; size as allocated, else undefined. A pointer that is no live block is a misuse. What the OS
///                refuses to take back is kept, counted and tried again
/// Equality       identity
/// Fork           parent and child have the same memory, not a copy. What the child gives back or destroys it gives back
///                for itself: names and memory of the parent stay. Locks the child has not. A child that makes named
///                blocks of its own meets the names of its parent. A keeper above has its books in the shared blocks: one
///                side may go on with it, and the other must neither use nor destroy it. With `in_children` false the
///                child has nothing there, so that what it does cannot harm the parent
/// Exit           usable as long as it lives; a block alive at destruction is a misuse, its name goes all the same. After
///                SIGKILL nothing is left of private and sealed segments; names are left, until remove_segment()
/// Signals        not for signal handlers
/// Composes       at the bottom of a stack, below a keeper: a segment a block is too dear for small ones. Not below
///                large_pages{} when ism: it has what that would ask for, and is refused
export namespace strata::pmr {

using mem::segment_kind;

class segment_resource;

/// A segment_resource in a stack.
struct segments {
  using layer_type = segment_resource;

  /// ism: large pages, never paged out; where the OS has no large pages free, ordinary ones locked in RAM, which
  /// degraded() says; where it can do neither, an exception. dism, pageable: ordinary, private to this process and its
  /// children. named: objects that others open by name. sealed: objects without a name, whose size nobody can change;
  /// others get them by descriptor.
  segment_kind kind = segment_kind::pageable;
  const char* name = "segments";  ///< in reports and errors, and the label of sealed objects; outlives the layer
  const char* object = "";        ///< named: name of the first block's object, "/…"; of others "/….1" to "/….255", the
                                  ///< lowest that is free in this layer. Outlives the layer
  bool reserve = true;      ///< take memory at once, so that having none is an exception; else it may be a signal later
  bool in_children = true;  ///< children of fork() share the blocks; else they have nothing there, and a touch faults
};

class segment_resource final : public direct_layer<segment_resource> {
 public:
  static constexpr bool thread_safe = true;
  static constexpr std::size_t max_alignment = mem::max_run_alignment;
  static constexpr bool zeroed = true;
  static constexpr bool can_release = false;
  static constexpr bool wants_all_back = true;
  static constexpr std::size_t max_named = 256;  ///< named blocks at a time

  explicit segment_resource(segments options = {});
  ~segment_resource() override;

  [[nodiscard]] statistics stats() const noexcept override;
  [[nodiscard]] fork_policy at_fork() const noexcept override {
    return options_.in_children ? fork_policy::shared : fork_policy::refused;
  }
  [[nodiscard]] std::size_t degraded(std::span<degradation> out) const noexcept override;

  /// Whether large pages come by the kind: a layer that asks for them above is then refused.
  [[nodiscard]] bool has_large_pages_of_its_own() const noexcept { return options_.kind == segment_kind::ism; }

  /// Descriptor of a sealed block's object, closed by exec, valid as long as the block is; −1 when it is none.
  [[nodiscard]] int descriptor(const void* block) const noexcept;

  /// Writes the name of a named block's object, with its terminating zero, as far as it fits. Returns its length; 0
  /// when it is none.
  std::size_t object_name(const void* block, std::span<char> out) const noexcept;

  /// Tries again to give back what the OS refused before. Returns the bytes it took.
  std::size_t trim() noexcept;

 private:
  friend direct_layer;

  [[nodiscard]] void* do_allocate(std::size_t bytes, std::size_t alignment) override;
  void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override;

  // What is known of a block, in one number of the table: see pack().
  struct record {
    std::uint32_t generation;  // of the process that made it
    bool locked;
    int number;  // named: of its name; sealed: its descriptor
  };
  [[nodiscard]] static std::size_t pack(const record& r) noexcept;
  [[nodiscard]] static record unpack(std::size_t word) noexcept;

  [[nodiscard]] int take_number() noexcept;
  void leave_number(int number) noexcept;
  [[nodiscard]] mem::os_error enter(const mem::segment& made, int number) noexcept;
  void forget_outside(const record& known) noexcept;
  [[noreturn]] void fail(const mem::segment& refused, const char* object, std::size_t bytes, std::size_t alignment);
  [[nodiscard]] std::size_t whole(std::size_t bytes) const noexcept;

  const segments options_;
  const mem::lock_ledger& locks_;  ///< made before mutex_ is ever held; tells by its generation that this is a child
  shared_ledger ledger_;
  std::atomic<std::size_t> mapped_{0};    ///< bytes of all blocks, rounded; stranded ones not included
  std::atomic<std::size_t> stranded_{0};  ///< bytes the OS would not take back
  refusals without_large_pages_;
  refusals names_;
  refusals returns_;
  mutable mem::mutex mutex_{"of a segment_resource"};
  mem::address_counts blocks_ ABSL_GUARDED_BY(mutex_);   ///< live ones and their records
  mem::address_counts refused_ ABSL_GUARDED_BY(mutex_);  ///< stranded ones and their bytes; room for all live ones
  std::uint64_t numbers_[max_named / 64] ABSL_GUARDED_BY(mutex_) = {};  ///< a bit for each name in use
};

static_assert(source<segment_resource>);

}  // namespace strata::pmr
