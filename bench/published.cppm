// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <memory>
#include <memory_resource>
#include <new>

export module bench:published;

import :subject;

/// Dangling pointers that fault, as published: D. Dhurjati and V. Adve, "Efficiently Detecting All Dangling Pointer Uses
/// in Production Servers", DSN 2006.
export namespace bench {

/// Gives each block of an upstream a mapping of its own: the pages it lies on, mapped once more by mremap() with an old
/// size of 0. A word in front of the block says where it lies for the upstream. Deallocating makes those pages
/// inaccessible by mprotect() and gives the block back to the upstream; their addresses are not used again.
///
/// A process may have 65,530 mappings as Linux comes, so that a process which frees often cannot go on for long. Here
/// dead pages are unmapped, 16,384 blocks' at a time, by a thread of its own while the caller sleeps: their addresses may
/// then come again, which the scheme would not allow, and the caller's processor time has none of it.
///
/// One thread at a time. Size: any. Alignment: up to a page.
class published_scheme final : public std::pmr::memory_resource {
 public:
  static constexpr std::size_t stretch = 16'384;  ///< dead blocks

  /// Pre: the upstream's pages are shared mappings; it outlives this.
  explicit published_scheme(std::pmr::memory_resource* upstream);
  ~published_scheme() override;
  published_scheme(const published_scheme&) = delete;
  published_scheme& operator=(const published_scheme&) = delete;

  /// No page can be mapped once more: too many mappings, as a rule.
  struct no_mapping : std::bad_alloc {
    [[nodiscard]] const char* what() const noexcept override;
  };

 private:
  void* do_allocate(std::size_t bytes, std::size_t alignment) override;
  void do_deallocate(void* p, std::size_t bytes, std::size_t alignment) override;
  [[nodiscard]] bool do_is_equal(const memory_resource& other) const noexcept override { return this == &other; }

  struct graveyard;
  std::pmr::memory_resource* upstream_;
  std::unique_ptr<graveyard> dead_;
};

/// That scheme over slabs, in memory that is shared as it requires.
[[nodiscard]] std::unique_ptr<subject> open_published();

}  // namespace bench
