// SPDX-License-Identifier: Apache-2.0
module;
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>
#include <span>

module strata.platform:page.solaris;

import :error;
import :page;

// Addresses are passed as caddr_t: the headers want that, or void*, by the level of X/Open a source asks for; and
// results go through void*.

namespace strata::platform {
namespace {

os_error answer(const char* call, int result) noexcept { return result == 0 ? success : os_error{call, errno}; }

caddr_t at(void* base, std::size_t offset = 0) noexcept { return static_cast<caddr_t>(base) + offset; }

/// Anonymous private pages; the kernel places and aligns them. Nothing is cut off, so nothing is left over.
mapping obtain(std::size_t bytes, std::size_t alignment, int protection) noexcept {
  // The kernel rounds the length and adds the alignment to it; what cannot be is refused here, in one way.
  if (bytes > std::numeric_limits<std::size_t>::max() - alignment) return {nullptr, {"mmap", ENOMEM}};
  // With MAP_ALIGN the address says the alignment.
  const caddr_t wish = reinterpret_cast<caddr_t>(alignment);
  void* const base = static_cast<void*>(::mmap(wish, bytes, protection, MAP_PRIVATE | MAP_ANON | MAP_ALIGN, -1, 0));
  if (base == MAP_FAILED) return {nullptr, {"mmap", errno}};
  return {base, success};
}

/// Fresh pages in place of those that are there, with their swap returned or taken anew.
os_error replace(void* base, std::size_t bytes, int protection) noexcept {
  void* const got = static_cast<void*>(::mmap(at(base), bytes, protection, MAP_PRIVATE | MAP_ANON | MAP_FIXED, -1, 0));
  return got == MAP_FAILED ? os_error{"mmap", errno} : success;
}

/// Writes zero to every page of the range that is in core.
os_error clear_what_is_in_core(void* base, std::size_t bytes) noexcept {
  const std::size_t page = page_size();
  char resident[256];
  for (std::size_t done = 0; done != bytes;) {
    const std::size_t piece = std::min(bytes - done, sizeof resident * page);
    if (::mincore(at(base, done), piece, resident) != 0) return {"mincore", errno};
    for (std::size_t i = 0; i * page != piece; ++i) {
      if ((resident[i] & 1) != 0) std::memset(at(base, done + i * page), 0, page);
    }
    done += piece;
  }
  return success;
}

}  // namespace

std::size_t page_size() noexcept { return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)); }

std::size_t page_sizes(std::span<std::size_t> out, const char*) noexcept {
  std::size_t sizes[16] = {};
  const int got = ::getpagesizes(sizes, static_cast<int>(std::size(sizes)));
  if (got < 1) {
    if (!out.empty()) out[0] = page_size();
    return 1;
  }
  const auto known = static_cast<std::size_t>(got);
  std::sort(sizes, sizes + known);
  std::copy_n(sizes, std::min(known, out.size()), out.begin());
  return known;
}

mapping reserve(std::size_t bytes, std::size_t alignment) noexcept {
  // Without MAP_NORESERVE, which would hold for what is committed later as well: a store without swap behind it would
  // then be a signal. Pages that cannot be written reserve none.
  return obtain(bytes, alignment, PROT_NONE);
}

mapping map(std::size_t bytes, std::size_t alignment) noexcept {
  return obtain(bytes, alignment, PROT_READ | PROT_WRITE);
}

os_error commit(void* base, std::size_t bytes) noexcept { return protect(base, bytes, access::read_write); }

os_error uncommit(void* base, std::size_t bytes) noexcept {
  // Not mprotect and MADV_PURGE: the swap would stay reserved. Pages that cannot be written need none, so the kernel
  // has nothing to refuse once it has begun.
  return replace(base, bytes, PROT_NONE);
}

os_error reserve_again(void* base, std::size_t bytes) noexcept { return replace(base, bytes, PROT_NONE); }

os_error unmap(void* base, std::size_t bytes) noexcept { return answer("munmap", ::munmap(at(base), bytes)); }

os_error protect(void* base, std::size_t bytes, access allowed) noexcept {
  int protection = PROT_NONE;
  switch (allowed) {
    case access::none:
      break;
    case access::read:
      protection = PROT_READ;
      break;
    case access::read_write:
      protection = PROT_READ | PROT_WRITE;
      break;
  }
  return answer("mprotect", ::mprotect(at(base), bytes, protection));
}

os_error give_back(void* base, std::size_t bytes) noexcept {
#ifdef MADV_PURGE
  const os_error refused = answer("madvise", ::madvise(at(base), bytes, MADV_PURGE));
  // Locked pages are passed over without a word: they stay, and are made to read as the others do.
  if (!refused.failed()) return clear_what_is_in_core(base, bytes);
  if (refused.code != EINVAL) return refused;
#endif
  // A kernel without MADV_PURGE. MADV_DONTNEED keeps contents here, and MADV_FREE may.
  return replace(base, bytes, PROT_READ | PROT_WRITE);
}

os_error prefault(void* base, std::size_t bytes) noexcept {
  // A private writable page has had its swap since it was mapped, so a store cannot be a signal for want of memory: the
  // process waits. There is nothing left to refuse.
  const std::size_t page = page_size();
  for (std::size_t offset = 0; offset != bytes; offset += page) {
    volatile char* const byte = at(base, offset);
    *byte = *byte;
  }
  return success;
}

os_error enter(void* /*base*/, std::size_t /*bytes*/) noexcept { return success; }

os_error name(void*, std::size_t, const char*) noexcept { return success; }

std::size_t quarantined_bytes() noexcept { return 0; }

}  // namespace strata::platform
