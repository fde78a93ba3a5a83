// SPDX-License-Identifier: Apache-2.0
module;
#include <fcntl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <atomic>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <limits>

module strata.platform:segment.linux;

import :error;
import :page;
import :segment;

// Names that headers older than the kernel lack. A kernel that lacks them says EINVAL, or takes the address as a wish.
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

namespace strata::platform {
namespace {

constexpr int kOwnerOnly = 0600;
constinit std::atomic<std::size_t> strays{0};

os_error answer(const char* call, int result) noexcept { return result == 0 ? success : os_error{call, errno}; }

/// Makes a call until no signal interrupts it.
template <typename Call>
int uninterrupted(const Call& call) noexcept {
  int result = 0;
  do {
    result = call();
  } while (result < 0 && errno == EINTR);
  return result;
}

shared_object opened(const char* call, int descriptor) noexcept {
  if (descriptor < 0) return {-1, {call, errno}};
  return {descriptor, success};
}

/// An address range of our own, where something of `bytes` is to replace it so that `base + skew` is aligned. Null base:
/// the kernel may choose the address.
mapping place_for(std::size_t bytes, std::size_t alignment, std::size_t skew) noexcept {
  if (skew % alignment == 0 && alignment <= page_size()) return {};
  const std::size_t head = skew == 0 ? 0 : alignment - skew;
  if (bytes > std::numeric_limits<std::size_t>::max() - head) return {nullptr, {"mmap", ENOMEM}};
  const mapping whole = reserve(head + bytes, alignment);
  if (whole.base == nullptr || head == 0) return whole;
  // Nothing may be placed in front. If that cannot be cut off, nothing is taken.
  if (const os_error refused = unmap(whole.base, head); refused.failed()) {
    static_cast<void>(unmap(whole.base, head + bytes));
    return {nullptr, refused};
  }
  return {static_cast<char*>(whole.base) + head, success};
}

/// Gives back a place nothing came to.
void leave(const mapping& place, std::size_t bytes) noexcept {
  if (place.base != nullptr) static_cast<void>(unmap(place.base, bytes));
}

/// Whether making the object this large is over the process's limit for files: the kernel's answer to that would be a
/// signal that ends it. (The limit has to be looked at beforehand: one that another thread lowers in between is missed.)
bool over_file_limit(int descriptor, std::size_t bytes) noexcept {
  rlimit allowed{};
  if (::getrlimit(RLIMIT_FSIZE, &allowed) != 0 || bytes <= allowed.rlim_cur) return false;
  return size_of(descriptor).bytes < bytes;
}

}  // namespace

mapping attach_private(std::size_t bytes, segment_kind kind, std::size_t page_bytes, std::size_t alignment) noexcept {
  // dism and pageable are one here: pages come on demand and may be locked in pieces.
  const int large = kind == segment_kind::ism ? SHM_HUGETLB | std::countr_zero(page_bytes) << 26 : 0;
  // The kernel aligns to page_bytes by itself.
  const mapping place = alignment > page_bytes ? place_for(bytes, alignment, 0) : mapping{};
  if (place.error.failed()) return place;
  const int id = ::shmget(IPC_PRIVATE, bytes, IPC_CREAT | kOwnerOnly | large);
  if (id < 0) {
    const os_error refused{"shmget", errno};
    leave(place, bytes);
    return {nullptr, refused};
  }
  void* const base = ::shmat(id, place.base, place.base != nullptr ? SHM_REMAP : 0);
  const os_error refused = answer("shmat", reinterpret_cast<std::intptr_t>(base) == -1 ? -1 : 0);
  // From here on the segment lives as long as somebody is attached; nobody may need to remove it later.
  const os_error kept = answer("shmctl", ::shmctl(id, IPC_RMID, nullptr));
  if (kept.failed()) strays.fetch_add(1, std::memory_order_relaxed);
  if (refused.failed()) {
    leave(place, bytes);
    return {nullptr, refused};
  }
  if (!kept.failed()) return {base, success};
  ::shmdt(base);
  return {nullptr, kept};
}

os_error detach(void* base) noexcept { return answer("shmdt", ::shmdt(base)); }

std::size_t stray_segments() noexcept { return strays.load(std::memory_order_relaxed); }

shared_object create_named(const char* name) noexcept {
  return opened("shm_open",
                uninterrupted([name] { return ::shm_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, kOwnerOnly); }));
}

shared_object open_named(const char* name) noexcept {
  return opened("shm_open", uninterrupted([name] { return ::shm_open(name, O_RDWR | O_CLOEXEC, 0); }));
}

os_error unlink_named(const char* name) noexcept { return answer("shm_unlink", ::shm_unlink(name)); }

shared_object create_unnamed(const char* label) noexcept {
  constexpr unsigned kFlags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  // Not executable, where the kernel knows that (6.3): some refuse to make others. EINVAL: it does not know.
  const auto make = [label](unsigned more) {
    return uninterrupted([=] { return ::memfd_create(label, kFlags | more); });
  };
  int descriptor = make(MFD_NOEXEC_SEAL);
  if (descriptor < 0 && errno == EINVAL) descriptor = make(0);
  return opened("memfd_create", descriptor);
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
  // No blocks at all: the kernel's own tmpfs behind memfd, or one mounted without a size.
  if (place.f_blocks == 0 || place.f_frsize == 0) return kUnbounded;
  if (place.f_bavail > kUnbounded / place.f_frsize) return kUnbounded;
  return static_cast<std::size_t>(place.f_bavail * place.f_frsize);
}

os_error seal_size(int descriptor) noexcept {
  return answer("fcntl", ::fcntl(descriptor, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
}

mapping map_object(int descriptor, std::size_t bytes, std::size_t alignment, std::size_t skew) noexcept {
  const mapping place = place_for(bytes, alignment, skew);
  if (place.error.failed()) return place;
  const int fixed = place.base != nullptr ? MAP_FIXED : 0;  // over our own reservation, nobody else's
  void* const base = ::mmap(place.base, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | fixed, descriptor, 0);
  if (base != MAP_FAILED) return {base, success};
  const os_error refused{"mmap", errno};
  leave(place, bytes);
  return {nullptr, refused};
}

mapping map_object_at(int descriptor, std::size_t bytes, void* where) noexcept {
  void* const base = ::mmap(where, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE, descriptor, 0);
  if (base == MAP_FAILED) return {nullptr, {"mmap", errno}};
  if (base == where) return {base, success};
  // A kernel before 4.17 takes the address as a wish; it put the mapping elsewhere because something is there.
  ::munmap(base, bytes);
  return {nullptr, {"mmap", EEXIST}};
}

os_error map_object_over(int descriptor, std::size_t offset, std::size_t bytes, void* where) noexcept {
  void* const base =
      ::mmap(where, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, descriptor, static_cast<off_t>(offset));
  return base == MAP_FAILED ? os_error{"mmap", errno} : success;
}

os_error give_back_part(int descriptor, std::size_t offset, std::size_t bytes) noexcept {
  const os_error refused = answer("fallocate", uninterrupted([=] {
                                    return ::fallocate(descriptor, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                                       static_cast<off_t>(offset), static_cast<off_t>(bytes));
                                  }));
  // Two errno are one here: of a file system without holes, and of a kernel built without the call.
  return refused.code == EOPNOTSUPP || refused.code == ENOSYS ? os_error{"fallocate", ENOTSUP} : refused;
}

void close_object(int descriptor) noexcept { ::close(descriptor); }

}  // namespace strata::platform
