// SPDX-License-Identifier: Apache-2.0
//
// The calls of <sys/mman.h> on private and shared mappings: P-S-10…25, 40…42.
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "tests/fakes/solaris/books.h"
#include "tests/fakes/solaris/host.h"
#include "tests/fakes/solaris/machine.h"

namespace fake = strata::fake_solaris;
using fake::books_lock;
using fake::machine;
using fake::region;
using fake::region_kind;

namespace {

std::size_t page() { return machine().page_sizes[0]; }

std::uintptr_t number(const void* address) { return reinterpret_cast<std::uintptr_t>(address); }

/// The range in whole pages; false (EINVAL) for an address that is none, nothing, or beyond the end of all.
bool range_of(caddr_t address, std::size_t bytes, std::uintptr_t& begin, std::uintptr_t& end) {
  begin = number(address);
  const std::size_t whole = (bytes + page() - 1) & ~(page() - 1);
  end = begin + whole;
  if (begin % page() == 0 && bytes != 0 && whole >= bytes && end > begin) return true;
  errno = EINVAL;
  return false;
}

int refuse(int code) {
  errno = code;
  return -1;
}

bool shared_table(const region& r) { return r.kind == region_kind::ism; }
bool attached(const region& r) { return r.kind == region_kind::ism || r.kind == region_kind::dism; }

caddr_t mmap_failed() { return static_cast<caddr_t>(MAP_FAILED); }

caddr_t refuse_map(int code) {
  errno = code;
  return mmap_failed();
}

}  // namespace

caddr_t mmap(caddr_t address, size_t bytes, int protection, int flags, int fd, off_t offset) {
  const books_lock lock;
  if (fake::fails("mmap")) return mmap_failed();
  const int type = flags & MAP_TYPE;
  const bool anonymous = (flags & MAP_ANON) != 0;
  const bool fixed = (flags & MAP_FIXED) != 0;
  const bool align = (flags & MAP_ALIGN) != 0;
  constexpr int kKnown = MAP_TYPE | MAP_FIXED | MAP_NORESERVE | MAP_ANON | MAP_ALIGN;
  if ((flags & ~kKnown) != 0 || (type != MAP_SHARED && type != MAP_PRIVATE) || bytes == 0) return refuse_map(EINVAL);
  if ((protection & ~(PROT_READ | PROT_WRITE)) != 0) return refuse_map(EINVAL);
  if (anonymous && fd != -1) return refuse_map(EINVAL);
  if (anonymous && type == MAP_SHARED) return refuse_map(ENOTSUP);  // not pretended
  if (!anonymous && fd < 0) return refuse_map(EBADF);
  if (align && fixed) return refuse_map(EINVAL);
  std::size_t alignment = page();
  if (align && address != nullptr) {
    alignment = number(address);
    if (!std::has_single_bit(alignment) || alignment < page()) return refuse_map(EINVAL);
  }
  const std::size_t whole = (bytes + page() - 1) & ~(page() - 1);
  if (whole < bytes) return refuse_map(ENOMEM);

  const bool writable = (protection & PROT_WRITE) != 0;
  const bool no_reserve = (flags & MAP_NORESERVE) != 0;
  region fresh{};
  fresh.kind = type == MAP_SHARED ? region_kind::shared
               : anonymous        ? region_kind::private_anonymous
                                  : region_kind::private_file;
  fresh.readable = (protection & (PROT_READ | PROT_WRITE)) != 0;  // what can be written can be read
  fresh.writable = writable;
  fresh.no_reserve = no_reserve;
  fresh.reserved = type == MAP_PRIVATE && writable && !no_reserve;
  if (!fake::has_room()) return mmap_failed();
  const auto how = type == MAP_SHARED ? fake::host::sharing::shared_file
                   : anonymous        ? fake::host::sharing::anonymous
                                      : fake::host::sharing::private_file;

  if (fixed) {
    std::uintptr_t end = 0;
    if (!range_of(address, bytes, fresh.begin, end)) return mmap_failed();
    fresh.end = end;
    if (fake::cuts_an_attachment(fresh.begin, fresh.end)) return refuse_map(EINVAL);
    std::uint64_t returned = 0;  // what is replaced gives its swap back first
    for (const region& r : fake::cut_out(fresh.begin, fresh.end)) returned += r.reserved ? r.bytes() : 0;
    const std::uint64_t left = fake::swap_left();
    const bool promised = !fresh.reserved || left >= whole || left + returned >= whole;
    if (promised && fake::host::map(address, whole, fresh.readable, writable, how, anonymous ? -1 : fd, offset, true)) {
      fake::detached(fresh.begin, fresh.end);
      fake::forget(fresh.begin, fresh.end);
      fake::add(fresh);
      fake::settle();
      return address;
    }
    if (!promised) errno = EAGAIN;
    const int code = errno;
    fake::settle();
    return refuse_map(code);
  }

  if (fresh.reserved && fake::swap_left() < whole) return refuse_map(EAGAIN);
  // An address without MAP_FIXED is a wish, granted when the range is free.
  bool wished = !align && address != nullptr && number(address) % page() == 0;
  for (std::size_t attempt = 0; attempt != 16; ++attempt, wished = false) {
    const bool grant =
        wished && number(address) + whole > number(address) && fake::is_free(number(address), number(address) + whole);
    fresh.begin = grant ? number(address) : fake::place(whole, alignment, attempt);
    if (fresh.begin == 0) return refuse_map(ENOMEM);
    fresh.end = fresh.begin + whole;
    void* const at = reinterpret_cast<void*>(fresh.begin);
    if (fake::host::map(at, whole, fresh.readable, writable, how, anonymous ? -1 : fd, offset, false)) {
      fake::add(fresh);
      fake::settle();
      return static_cast<caddr_t>(at);
    }
    if (errno != EEXIST) return mmap_failed();
  }
  return refuse_map(ENOMEM);
}

int munmap(caddr_t address, size_t bytes) {
  const books_lock lock;
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  if (fake::fails("munmap") || !range_of(address, bytes, begin, end)) return -1;
  if (fake::cuts_an_attachment(begin, end)) return refuse(EINVAL);
  if (!fake::has_room() || !fake::host::unmap(address, end - begin)) return -1;
  fake::detached(begin, end);
  fake::forget(begin, end);
  return 0;
}

int mprotect(caddr_t address, size_t bytes, int protection) {
  const books_lock lock;
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  if (fake::fails("mprotect") || !range_of(address, bytes, begin, end)) return -1;
  if ((protection & ~(PROT_READ | PROT_WRITE)) != 0) return refuse(EINVAL);
  if (!fake::covered(begin, end)) return refuse(ENOMEM);
  if (!fake::has_room()) return -1;
  const bool writable = (protection & PROT_WRITE) != 0;
  const bool readable = protection != PROT_NONE;

  // What becomes writable needs swap now; what stops being so keeps what it has.
  std::uint64_t needed = 0;
  const auto needs = [writable](const region& r) {
    const bool own = r.kind == region_kind::private_anonymous || r.kind == region_kind::private_file;
    return writable && own && !r.no_reserve && !r.reserved;
  };
  for (const region& r : fake::cut_out(begin, end)) needed += needs(r) ? r.bytes() : 0;
  if (needed > fake::swap_left()) {
    fake::settle();
    return refuse(EAGAIN);
  }
  for (region& r : fake::cut_out(begin, end)) {
    if (attached(r)) continue;  // success, and nothing changes (P-S-34)
    if (!fake::host::protect(reinterpret_cast<void*>(r.begin), r.bytes(), readable, writable)) {
      const int code = errno;
      fake::settle();
      return refuse(code);
    }
    if (needs(r)) r.reserved = true;
    r.readable = readable;
    r.writable = writable;
  }
  fake::settle();
  return 0;
}

int madvise(caddr_t address, size_t bytes, int advice) {
  const books_lock lock;
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  if (fake::fails("madvise") || !range_of(address, bytes, begin, end)) return -1;
  if (advice < MADV_NORMAL || advice > MADV_PURGE || (advice == MADV_PURGE && !machine().purges)) return refuse(EINVAL);
  if (!fake::covered(begin, end)) return refuse(ENOMEM);
  if (advice != MADV_PURGE) return 0;  // DONTNEED keeps what is written, FREE may: this one does (P-S-23)
  if (!fake::has_room()) return -1;
  int result = 0;
  for (const region& r : fake::cut_out(begin, end)) {
    // Locked pages are passed over, and nobody is told.
    if (r.kind != region_kind::private_anonymous || r.locked) continue;
    if (!fake::host::discard(reinterpret_cast<void*>(r.begin), r.bytes())) result = -1;
  }
  const int code = errno;
  fake::settle();
  errno = code;
  return result;
}

int mincore(caddr_t address, size_t bytes, char* resident) {
  const books_lock lock;
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  if (fake::fails("mincore") || !range_of(address, bytes, begin, end)) return -1;
  if (!fake::covered(begin, end)) return refuse(ENOMEM);
  return fake::host::resident(address, end - begin, reinterpret_cast<unsigned char*>(resident)) ? 0 : -1;
}

int mlock(caddr_t address, size_t bytes) {
  const books_lock lock;
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  if (fake::fails("mlock")) return -1;
  if (!machine().may_lock) return refuse(EPERM);
  if (!range_of(address, bytes, begin, end)) return -1;
  if (!fake::covered(begin, end)) return refuse(ENOMEM);
  if (!fake::has_room()) return -1;
  std::uint64_t needed = 0;
  for (const region& r : fake::cut_out(begin, end)) needed += r.locked ? 0 : r.bytes();
  int code = needed > fake::lock_left() ? EAGAIN : 0;
  for (const region& r : fake::cut_out(begin, end)) {
    if (code != 0 || r.locked || !r.writable) continue;
    if (!fake::host::populate(reinterpret_cast<void*>(r.begin), r.bytes())) code = EAGAIN;
  }
  for (region& r : fake::cut_out(begin, end)) r.locked = r.locked || code == 0;
  fake::settle();
  return code == 0 ? 0 : refuse(code);
}

int munlock(caddr_t address, size_t bytes) {
  const books_lock lock;
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  if (fake::fails("munlock")) return -1;
  if (!machine().may_lock) return refuse(EPERM);
  if (!range_of(address, bytes, begin, end)) return -1;
  if (!fake::covered(begin, end)) return refuse(ENOMEM);
  if (!fake::has_room()) return -1;
  for (region& r : fake::cut_out(begin, end)) r.locked = shared_table(r);  // ISM stays locked, whoever asks
  fake::settle();
  return 0;
}

int getpagesizes(size_t* sizes, int count) {
  const books_lock lock;
  if (fake::fails("getpagesizes")) return -1;
  const int known = static_cast<int>(machine().page_size_count);
  if (count < 0 || (sizes == nullptr) != (count == 0)) return refuse(EINVAL);
  if (sizes == nullptr) return known;
  const int filled = std::min(count, known);
  std::copy_n(machine().page_sizes.begin(), filled, sizes);
  return filled;
}

int memcntl(caddr_t address, size_t bytes, int command, caddr_t argument, int attributes, int mask) {
  const books_lock lock;
  if (fake::fails("memcntl")) return -1;
  if (attributes != 0 || mask != 0) return refuse(EINVAL);
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  if (command == MC_INHERIT_ZERO) {
    if (argument != nullptr || !range_of(address, bytes, begin, end)) return refuse(EINVAL);
    if (!fake::covered(begin, end)) return refuse(ENOMEM);
    for (const region& r : fake::cut_out(begin, end)) {
      if (r.kind != region_kind::private_anonymous) return refuse(EINVAL);
    }
    return fake::host::wipe_on_fork(address, end - begin) ? 0 : -1;
  }
  if (command != MC_HAT_ADVISE) return refuse(EINVAL);
  if (argument == nullptr) return refuse(EFAULT);
  const memcntl_mha& advice = *reinterpret_cast<const memcntl_mha*>(argument);
  if (advice.mha_flags != 0) return refuse(EINVAL);
  const auto known_end = machine().page_sizes.begin() + static_cast<std::ptrdiff_t>(machine().page_size_count);
  const std::size_t size = advice.mha_pagesize;
  if (size != 0 && std::find(machine().page_sizes.begin(), known_end, size) == known_end) return refuse(EINVAL);
  if (advice.mha_cmd == MHA_MAPSIZE_BSSBRK || advice.mha_cmd == MHA_MAPSIZE_STACK)
    return address == nullptr && bytes == 0 ? 0 : refuse(EINVAL);
  if (advice.mha_cmd != MHA_MAPSIZE_VA) return refuse(EINVAL);

  const std::size_t unit = size == 0 ? page() : size;
  if (number(address) % unit != 0 || bytes % unit != 0 || !range_of(address, bytes, begin, end)) return refuse(EINVAL);
  if (!fake::covered(begin, end)) return refuse(ENOMEM);
  if (!fake::has_room()) return -1;
  int code = 0;
  for (std::uintptr_t piece = begin; piece != end && code == 0; piece += unit) {  // equal permissions in each piece
    const region* const at = fake::region_at(piece);
    for (std::uintptr_t next = at->end; next < piece + unit;) {
      const region* const other = fake::region_at(next);
      if (other->readable != at->readable || other->writable != at->writable) code = EINVAL;
      next = other->end;
    }
    if (attached(*at)) code = EINVAL;
    if (piece + unit < at->end) piece += (at->end - piece - unit) / unit * unit;  // the rest of it is alike
    piece = std::min(piece, end - unit);
  }
  if (code == 0) {
    for (region& r : fake::cut_out(begin, end)) r.advised = size;
  }
  fake::settle();
  return code == 0 ? 0 : refuse(code);
}

int meminfo(const uint64_t* addresses, int address_count, const uint_t* requests, int request_count, uint64_t* answers,
            uint_t* validity) {
  const books_lock lock;
  if (fake::fails("meminfo")) return -1;
  if (address_count < 1 || address_count > MAX_MEMINFO_CNT || request_count < 1 || request_count > MAX_MEMINFO_REQ)
    return refuse(EINVAL);
  for (int a = 0; a != address_count; ++a) {
    const std::uintptr_t address = addresses[a] & ~(page() - 1);
    const region* const at = fake::region_at(address);
    unsigned char touched = 0;
    const bool there = at != nullptr && fake::host::resident(reinterpret_cast<void*>(address), page(), &touched) &&
                       (touched & 1U) != 0;
    validity[a] = there ? 1U : 0U;
    for (int r = 0; r != request_count; ++r) {
      std::uint64_t& answer = answers[a * request_count + r];
      answer = 0;
      if (!there || requests[r] != MEMINFO_VPAGESIZE) continue;  // the others need privileges or lgroups
      const std::size_t wished = attached(*at) ? machine().ism_page : at->advised;
      answer = machine().gives_large_pages && wished != 0 ? wished : page();
      validity[a] |= 1U << (r + 1);
    }
  }
  return 0;
}

int shm_open(const char* name, int flags, mode_t mode) {
  const books_lock lock;
  return fake::fails("shm_open") ? -1 : fake::host::named_open(name, flags, mode);
}

int shm_unlink(const char* name) {
  const books_lock lock;
  return fake::fails("shm_unlink") ? -1 : fake::host::named_unlink(name);
}

int posix_fallocate(int fd, off_t offset, off_t bytes) {
  const books_lock lock;
  if (fake::fails("posix_fallocate")) return errno;
  return machine().tmpfs_allocates ? fake::host::fallocate_file(fd, offset, bytes) : EINVAL;
}
