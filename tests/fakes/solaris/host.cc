// SPDX-License-Identifier: Apache-2.0
#include "tests/fakes/solaris/host.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

namespace strata::fake_solaris::host {
namespace {

int protection(bool read, bool write) { return (read ? PROT_READ : PROT_NONE) | (write ? PROT_WRITE : PROT_NONE); }

bool tell(int result, const struct statfs& known, room& found) {
  constexpr auto kTmpfs = 0x01021994;
  found = {static_cast<std::uint64_t>(known.f_bsize), known.f_blocks, known.f_bfree, known.f_type == kTmpfs};
  return result == 0;
}

}  // namespace

bool room_at(const char* place, room& found) {
  struct statfs known{};
  return tell(::statfs(place, &known), known, found);
}

bool room_behind(int fd, room& found) {
  struct statfs known{};
  return tell(::fstatfs(fd, &known), known, found);
}

bool map(void* address, std::size_t bytes, bool read, bool write, sharing how, int fd, std::int64_t offset,
         bool replace) {
  // NORESERVE: the fake keeps the books on what is promised.
  int flags = MAP_NORESERVE | (replace ? MAP_FIXED : MAP_FIXED_NOREPLACE);
  flags |= how == sharing::shared_file ? MAP_SHARED : MAP_PRIVATE;
  if (how == sharing::anonymous) flags |= MAP_ANONYMOUS;
  void* const got = ::mmap(address, bytes, protection(read, write), flags, fd, offset);
  if (got == MAP_FAILED) return false;
  if (got == address) return true;
  ::munmap(got, bytes);  // a kernel that takes NOREPLACE for a hint
  errno = EEXIST;
  return false;
}

bool unmap(void* address, std::size_t bytes) { return ::munmap(address, bytes) == 0; }

bool protect(void* address, std::size_t bytes, bool read, bool write) {
  return ::mprotect(address, bytes, protection(read, write)) == 0;
}

bool discard(void* address, std::size_t bytes) { return ::madvise(address, bytes, MADV_DONTNEED) == 0; }
bool populate(void* address, std::size_t bytes) { return ::madvise(address, bytes, MADV_POPULATE_WRITE) == 0; }
bool wipe_on_fork(void* address, std::size_t bytes) { return ::madvise(address, bytes, MADV_WIPEONFORK) == 0; }

bool resident(void* address, std::size_t bytes, unsigned char* pages) { return ::mincore(address, bytes, pages) == 0; }

int memory_file(std::size_t bytes) {
  const int fd = ::memfd_create("fake_solaris", MFD_CLOEXEC);
  if (fd < 0) return -1;
  if (const int code = ::posix_fallocate(fd, 0, static_cast<off_t>(bytes)); code != 0) {
    ::close(fd);
    errno = code;
    return -1;
  }
  return fd;
}

int fallocate_file(int fd, std::int64_t offset, std::int64_t bytes) { return ::posix_fallocate(fd, offset, bytes); }
void close_file(int fd) { ::close(fd); }
int named_open(const char* name, int flags, unsigned mode) { return ::shm_open(name, flags, mode); }
int named_unlink(const char* name) { return ::shm_unlink(name); }

std::uint64_t pages_installed() { return static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)); }
std::uint64_t pages_free() { return static_cast<std::uint64_t>(::sysconf(_SC_AVPHYS_PAGES)); }
unsigned processors_online() { return static_cast<unsigned>(std::max(::sysconf(_SC_NPROCESSORS_ONLN), 1L)); }

void around_fork(void (*before)(), void (*in_parent)(), void (*in_child)()) {
  if (::pthread_atfork(before, in_parent, in_child) != 0) std::abort();
}

}  // namespace strata::fake_solaris::host
