// SPDX-License-Identifier: Apache-2.0
#ifndef STRATA_TESTS_FAKES_SOLARIS_BOOKS_H_
#define STRATA_TESTS_FAKES_SOLARIS_BOOKS_H_

#include <cstddef>
#include <cstdint>

/// What the fake kernel knows of the address space: a sorted list of regions, each with attributes of its own.
///
/// Nothing allocates: the layers that are tested on top count allocations. All of it under one lock, which a fork
/// waits for.
namespace strata::fake_solaris {

enum class region_kind : std::uint8_t { private_anonymous, private_file, shared, ism, dism };

struct region {
  std::uintptr_t begin;
  std::uintptr_t end;
  std::size_t advised;    ///< page size the HAT was advised of, 0: none
  std::uint32_t segment;  ///< which attachment, 0: none
  region_kind kind;
  bool readable;
  bool writable;
  bool no_reserve;
  bool reserved;  ///< swap is set aside for it
  bool locked;

  [[nodiscard]] std::size_t bytes() const { return end - begin; }
};

/// The lock of all books.
class books_lock {
 public:
  books_lock();
  ~books_lock();
  books_lock(const books_lock&) = delete;
  books_lock& operator=(const books_lock&) = delete;
};

// Everything below: with the lock held.

/// Regions that lie in the range, after cutting those that reach over its ends. Valid until the next call.
struct slice {
  region* first;
  region* last;
  [[nodiscard]] region* begin() const { return first; }
  [[nodiscard]] region* end() const { return last; }
};
slice cut_out(std::uintptr_t begin, std::uintptr_t end);

/// Whether every byte of the range is in some region.
bool covered(std::uintptr_t begin, std::uintptr_t end);

/// Whether no byte of it is.
bool is_free(std::uintptr_t begin, std::uintptr_t end);

/// Whether the range meets an ISM or DISM attachment without holding all of it. (shm.cc)
bool cuts_an_attachment(std::uintptr_t begin, std::uintptr_t end);

/// Every attachment in the range is gone. (shm.cc)
void detached(std::uintptr_t begin, std::uintptr_t end);

/// Room for the few entries that one operation may add.
bool has_room();

/// Forgets what is in the range, its swap and its locks.
void forget(std::uintptr_t begin, std::uintptr_t end);

/// Adds a region where there is none.
void add(const region& fresh);

/// Joins neighbours that have become alike.
void settle();

const region* region_at(std::uintptr_t address);
slice all();

/// An address for `bytes` where the books know of nothing.
std::uintptr_t place(std::size_t bytes, std::size_t alignment, std::size_t attempt);

std::uint64_t swap_left();
std::uint64_t lock_left();

/// Whether a test wants this call to fail; errno is then set.
bool fails(const char* name);

}  // namespace strata::fake_solaris

#endif  // STRATA_TESTS_FAKES_SOLARIS_BOOKS_H_
