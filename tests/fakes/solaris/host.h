// SPDX-License-Identifier: Apache-2.0
#ifndef STRATA_TESTS_FAKES_SOLARIS_HOST_H_
#define STRATA_TESTS_FAKES_SOLARIS_HOST_H_

#include <cstddef>
#include <cstdint>

/// What the fake asks of the machine underneath. The only file of the fake that sees that system's headers is host.cc;
/// nothing here takes a flag of it. Functions that return bool leave errno set when they return false. None allocates.
namespace strata::fake_solaris::host {

enum class sharing { anonymous, private_file, shared_file };

/// Maps at exactly `address`. Replaces what is there, or fails with EEXIST.
bool map(void* address, std::size_t bytes, bool read, bool write, sharing how, int fd, std::int64_t offset,
         bool replace);
bool unmap(void* address, std::size_t bytes);
bool protect(void* address, std::size_t bytes, bool read, bool write);
bool discard(void* address, std::size_t bytes);   // gone, zero when touched
bool populate(void* address, std::size_t bytes);  // resident now
bool wipe_on_fork(void* address, std::size_t bytes);
bool resident(void* address, std::size_t bytes, unsigned char* pages);

int memory_file(std::size_t bytes);  // a descriptor, -1; grown to `bytes`, all of it there
int fallocate_file(int fd, std::int64_t offset, std::int64_t bytes);  // returns its error
void close_file(int fd);
struct room {
  std::uint64_t unit = 0;
  std::uint64_t blocks = 0;
  std::uint64_t free = 0;
  bool is_memory = false;  // a tmpfs
};
bool room_at(const char* place, room& found);
bool room_behind(int fd, room& found);
int named_open(const char* name, int flags, unsigned mode);
int named_unlink(const char* name);

std::uint64_t pages_installed();
std::uint64_t pages_free();
unsigned processors_online();

/// The three hooks run around every fork().
void around_fork(void (*before)(), void (*in_parent)(), void (*in_child)());

}  // namespace strata::fake_solaris::host

#endif  // STRATA_TESTS_FAKES_SOLARIS_HOST_H_
