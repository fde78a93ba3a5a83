// SPDX-License-Identifier: Apache-2.0
module;
#include <errno.h>
#include <fcntl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <limits>

module strata.platform:segment.solaris;

import :error;
import :large_page;
import :page;
import :segment;

namespace strata::platform {
namespace {

constexpr int kOwnerOnly = 0600;
constinit std::atomic<std::size_t> strays{0};
constinit std::atomic<unsigned> unnamed_made{0};

os_error answer(const char* call, int result) noexcept { return result == 0 ? success : os_error{call, errno}; }

/// Makes a call until no signal interrupts it.
template <typename Call>
auto uninterrupted(const Call& call) noexcept {
  decltype(call()) result = 0;
  do {
    result = call();
  } while (result < 0 && errno == EINTR);
  return result;
}

caddr_t at(void* base) noexcept { return static_cast<caddr_t>(base); }

bool aligned(const void* base, std::size_t alignment) noexcept {
  return reinterpret_cast<std::uintptr_t>(base) % alignment == 0;
}

shared_object opened(const char* call, int descriptor) noexcept {
  if (descriptor < 0) return {-1, {call, errno}};
  return {descriptor, success};
}

/// shmat() that says null for what is not attached.
mapping attach(int id, const void* where, int flags) noexcept {
  void* const base = ::shmat(id, where, flags);
  if (reinterpret_cast<std::intptr_t>(base) == -1) return {nullptr, {"shmat", errno}};
  return {base, success};
}

/// Attaches aligned. The kernel's own choice first, which for ism and dism is a multiple of their large page. Else an
/// address found by a reservation, which has to be given up before: in between it may be lost to another thread, so
/// several times.
mapping attach_aligned(int id, std::size_t bytes, int flags, std::size_t alignment) noexcept {
  const mapping first = attach(id, nullptr, flags);
  if (first.base == nullptr || aligned(first.base, alignment)) return first;
  static_cast<void>(::shmdt(at(first.base)));
  const std::size_t unit = std::max(large_page_size(), page_size());  // what the length is rounded to
  if (bytes > std::numeric_limits<std::size_t>::max() - unit) return {nullptr, {"shmat", ENOMEM}};
  const std::size_t room = (bytes + unit - 1) / unit * unit;
  mapping got;
  for (int attempt = 0; attempt != 16; ++attempt) {
    const mapping place = reserve(room, std::max(alignment, unit));
    if (place.base == nullptr) return place;
    if (const os_error refused = unmap(place.base, room); refused.failed()) {
      static_cast<void>(unmap(place.base, room));
      return {nullptr, refused};
    }
    got = attach(id, place.base, flags);
    if (got.base != nullptr || got.error.code != EINVAL) break;  // EINVAL: taken
  }
  return got;
}

int attach_flags(segment_kind kind) noexcept {
  switch (kind) {
    case segment_kind::ism:
      return SHM_SHARE_MMU;
    case segment_kind::dism:
      return SHM_PAGEABLE;
    case segment_kind::pageable:
      break;
  }
  return 0;
}

/// Takes memory for a file page by page, by writing to each the byte that it holds: not every file system here has a
/// call for it, and a write is refused where a store would be a signal.
os_error write_every_page(int descriptor, std::size_t bytes) noexcept {
  for (std::size_t offset = 0; offset < bytes; offset += page_size()) {
    const auto place = static_cast<off_t>(offset);
    char byte = 0;
    if (uninterrupted([&] { return ::pread(descriptor, &byte, 1, place); }) < 0) return {"pread", errno};
    if (uninterrupted([&] { return ::pwrite(descriptor, &byte, 1, place); }) != 1) return {"pwrite", errno};
  }
  return success;
}

/// Whether making the object this large is over the process's limit for files: the kernel's answer to that would be a
/// signal that ends it. (The limit has to be looked at beforehand: one that another thread lowers in between is missed.)
bool over_file_limit(int descriptor, std::size_t bytes) noexcept {
  rlimit allowed{};
  if (::getrlimit(RLIMIT_FSIZE, &allowed) != 0 || bytes <= allowed.rlim_cur) return false;
  return size_of(descriptor).bytes < bytes;
}

}  // namespace

mapping attach_private(std::size_t bytes, segment_kind kind, std::size_t, std::size_t alignment) noexcept {
  const int id = ::shmget(IPC_PRIVATE, bytes, IPC_CREAT | kOwnerOnly);
  if (id < 0) return {nullptr, {"shmget", errno}};
  const mapping got = attach_aligned(id, bytes, attach_flags(kind), alignment);
  // From here on the segment lives as long as somebody is attached; nobody may need to remove it later.
  const os_error kept = answer("shmctl", ::shmctl(id, IPC_RMID, nullptr));
  if (kept.failed()) strays.fetch_add(1, std::memory_order_relaxed);
  if (got.base == nullptr || !kept.failed()) return got;
  static_cast<void>(::shmdt(at(got.base)));
  return {nullptr, kept};
}

os_error detach(void* base) noexcept { return answer("shmdt", ::shmdt(at(base))); }

std::size_t stray_segments() noexcept { return strays.load(std::memory_order_relaxed); }

// shm_open() closes on exec by itself, and need not know O_CLOEXEC.
shared_object create_named(const char* name) noexcept {
  return opened("shm_open", uninterrupted([name] { return ::shm_open(name, O_RDWR | O_CREAT | O_EXCL, kOwnerOnly); }));
}

shared_object open_named(const char* name) noexcept {
  return opened("shm_open", uninterrupted([name] { return ::shm_open(name, O_RDWR, 0); }));
}

os_error unlink_named(const char* name) noexcept { return answer("shm_unlink", ::shm_unlink(name)); }

shared_object create_unnamed(const char*) noexcept {
  // A name for a moment: "/strata." pid "." number. Another process' left-over is passed by.
  for (int attempt = 0; attempt != 64; ++attempt) {
    char name[64] = "/strata.";
    char* end = std::to_chars(name + 8, name + 32, ::getpid()).ptr;
    *end++ = '.';
    *std::to_chars(end, name + 60, unnamed_made.fetch_add(1, std::memory_order_relaxed)).ptr = '\0';
    const shared_object made = create_named(name);
    if (made.error.code == EEXIST) continue;
    if (made.descriptor < 0) return made;
    if (const os_error refused = unlink_named(name); refused.failed()) {
      close_object(made.descriptor);
      return {-1, refused};
    }
    return made;
  }
  return {-1, {"shm_open", EEXIST}};
}

os_error resize(int descriptor, std::size_t bytes) noexcept {
  if (bytes > static_cast<std::size_t>(std::numeric_limits<off_t>::max())) return {"ftruncate", EFBIG};
  if (over_file_limit(descriptor, bytes)) return {"ftruncate", EFBIG};
  return answer("ftruncate", uninterrupted([=] { return ::ftruncate(descriptor, static_cast<off_t>(bytes)); }));
}

os_error reserve_memory(int descriptor, std::size_t bytes) noexcept {
  if (bytes > static_cast<std::size_t>(std::numeric_limits<off_t>::max())) return {"posix_fallocate", EFBIG};
  if (over_file_limit(descriptor, bytes)) return {"posix_fallocate", EFBIG};
  int code = 0;  // returned, not left in errno
  do {
    code = ::posix_fallocate(descriptor, 0, static_cast<off_t>(bytes));
  } while (code == EINTR);
  if (code == EINVAL || code == ENOTSUP) return write_every_page(descriptor, bytes);
  return code == 0 ? success : os_error{"posix_fallocate", code};
}

object_size size_of(int descriptor) noexcept {
  struct stat known{};
  if (::fstat(descriptor, &known) != 0) return {0, {"fstat", errno}};
  return {static_cast<std::size_t>(known.st_size), success};
}

std::size_t room_of(int descriptor) noexcept {
  constexpr std::size_t kUnbounded = std::numeric_limits<std::size_t>::max();
  struct statvfs place{};
  if (uninterrupted([&] { return ::fstatvfs(descriptor, &place); }) != 0) return kUnbounded;
  if (place.f_blocks == 0 || place.f_frsize == 0) return kUnbounded;
  if (place.f_bavail > kUnbounded / place.f_frsize) return kUnbounded;
  return static_cast<std::size_t>(place.f_bavail * place.f_frsize);
}

os_error seal_size(int) noexcept { return {"fcntl", ENOSYS}; }

mapping map_object(int descriptor, std::size_t bytes, std::size_t alignment, std::size_t skew) noexcept {
  constexpr int kAccess = PROT_READ | PROT_WRITE;
  if (skew % alignment == 0) {
    const caddr_t wish = reinterpret_cast<caddr_t>(alignment);  // with MAP_ALIGN
    void* const base = static_cast<void*>(::mmap(wish, bytes, kAccess, MAP_SHARED | MAP_ALIGN, descriptor, 0));
    return base == MAP_FAILED ? mapping{nullptr, {"mmap", errno}} : mapping{base, success};
  }
  // Over a reservation of our own, nobody else's; what is in front of it goes back.
  const std::size_t head = alignment - skew;
  if (bytes > std::numeric_limits<std::size_t>::max() - head) return {nullptr, {"mmap", ENOMEM}};
  const mapping whole = reserve(head + bytes, alignment);
  if (whole.base == nullptr) return whole;
  const caddr_t place = at(whole.base) + head;
  os_error refused = unmap(whole.base, head);
  if (!refused.failed()) {
    void* const base = static_cast<void*>(::mmap(place, bytes, kAccess, MAP_SHARED | MAP_FIXED, descriptor, 0));
    if (base != MAP_FAILED) return {base, success};
    refused = {"mmap", errno};
    static_cast<void>(unmap(place, bytes));
  } else {
    static_cast<void>(unmap(whole.base, head + bytes));
  }
  return {nullptr, refused};
}

mapping map_object_at(int descriptor, std::size_t bytes, void* where) noexcept {
  // Without MAP_FIXED, which replaces, the address is a wish. A wish that was not granted: something is there.
  void* const base = static_cast<void*>(::mmap(at(where), bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0));
  if (base == MAP_FAILED) return {nullptr, {"mmap", errno}};
  if (base == where) return {base, success};
  static_cast<void>(unmap(base, bytes));
  return {nullptr, {"mmap", EEXIST}};
}

os_error map_object_over(int descriptor, std::size_t offset, std::size_t bytes, void* where) noexcept {
  void* const base = static_cast<void*>(
      ::mmap(at(where), bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, descriptor, static_cast<off_t>(offset)));
  return base == MAP_FAILED ? os_error{"mmap", errno} : success;
}

// fcntl(F_FREESP) is documented for parts of files, but tmpfs, where objects live, knows it to the end of a file only.
os_error give_back_part(int, std::size_t, std::size_t) noexcept { return {"fcntl", ENOTSUP}; }

void close_object(int descriptor) noexcept { ::close(descriptor); }

}  // namespace strata::platform
