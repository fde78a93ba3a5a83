// SPDX-License-Identifier: Apache-2.0
module;
#include <linux/futex.h>
#include <linux/prctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>

module strata.platform:page.linux;

import :error;
import :os_file;
import :page;

// Names that headers older than the kernel lack. A kernel that lacks them says EINVAL.
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

namespace strata::platform {
namespace {

constinit std::atomic<std::size_t> quarantined{0};

os_error answer(const char* call, int result) noexcept { return result == 0 ? success : os_error{call, errno}; }

char* at(void* base, std::size_t offset) noexcept { return static_cast<char*>(base) + offset; }

/// mmap of `bytes` anonymous private bytes, placed by the kernel. Always libc's mmap: sanitizers follow that one.
mapping obtain(std::size_t bytes, int protection, int flags) noexcept {
  void* const base = ::mmap(nullptr, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
  if (base == MAP_FAILED) return {nullptr, {"mmap", errno}};
  return {base, success};
}

/// An aligned, inaccessible range: takes enough to hold an aligned one wherever the kernel puts it, then gives back
/// what is before and after. Inaccessible pages are not charged to anyone, so the surplus costs address space for a
/// moment, never memory.
///
/// The kernel may have merged the new pages with a neighbouring mapping, so that cutting the surplus off splits a
/// mapping, which it refuses (ENOMEM) to a process that has vm.max_map_count of them. Then:
///  1. the whole range is given back, the other surplus with it, and the caller gets the error: nothing has changed;
///  2. if that is refused as well, the range in the middle is still a good one. The caller gets it; the surplus stays,
///  inaccessible,
///     and is counted in quarantined_bytes().
/// `surplus` is set to what (2) left.
mapping obtain_aligned(std::size_t bytes, std::size_t alignment, int flags, std::size_t& surplus) noexcept {
  surplus = 0;
  const std::size_t slack = alignment - page_size();
  if (bytes > std::numeric_limits<std::size_t>::max() - slack) return {nullptr, {"mmap", ENOMEM}};
  const mapping whole = obtain(bytes + slack, PROT_NONE, flags);
  if (whole.base == nullptr || slack == 0) return whole;

  const std::size_t head = (alignment - reinterpret_cast<std::uintptr_t>(whole.base) % alignment) % alignment;
  const std::size_t tail = slack - head;
  void* const base = at(whole.base, head);
  const bool tail_refused = tail != 0 && ::munmap(at(base, bytes), tail) != 0;
  const bool head_refused = !tail_refused && head != 0 && ::munmap(whole.base, head) != 0;
  if (!tail_refused && !head_refused) return {base, success};

  const os_error refused{"munmap", errno};
  const std::size_t left = head + (tail_refused ? tail : 0);
  if (::munmap(whole.base, left + bytes) == 0) return {nullptr, refused};
  surplus = left;
  quarantined.fetch_add(surplus, std::memory_order_relaxed);
  return {base, success};
}

/// Prefault for kernels before 5.14. The kernel itself adds 0 to the first word of each page, atomically
/// (FUTEX_WAKE_OP): contents stay, concurrent users are not disturbed, and a page that cannot be had is EFAULT where a
/// store of ours would be a signal. Nobody is woken who does not have to expect it: the word waited for is a local one,
/// and waiters on the page's first word must bear spurious wakes.
os_error touch_through_the_kernel(char* base, std::size_t bytes) noexcept {
  constexpr auto kAddZero = FUTEX_OP(FUTEX_OP_ADD, 0, FUTEX_OP_CMP_LT, 0);
  int nobody = 0;
  for (std::size_t offset = 0; offset < bytes; offset += page_size()) {
    if (::syscall(SYS_futex, &nobody, FUTEX_WAKE_OP_PRIVATE, 0, nullptr, base + offset, kAddZero) < 0)
      return {"futex", errno};
  }
  return success;
}

}  // namespace

std::size_t page_size() noexcept { return static_cast<std::size_t>(::getpagesize()); }

std::size_t page_sizes(std::span<std::size_t> out, const char* root) noexcept {
  std::uint64_t sizes = page_size();  // a set: every page size is a power of two, its own bit
  const auto add = [&sizes](std::uint64_t bytes) {
    if (std::has_single_bit(bytes) && bytes > page_size() && bytes <= std::numeric_limits<std::size_t>::max())
      sizes |= bytes;
  };

  name_reader pools(path(root).append("/sys/kernel/mm/hugepages"));
  for (std::string_view name; pools.next(name);) {
    constexpr std::string_view kPrefix = "hugepages-";
    constexpr std::string_view kSuffix = "kB";
    std::uint64_t kib = 0;
    if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix)) continue;
    name.remove_prefix(kPrefix.size());
    name.remove_suffix(kSuffix.size());
    if (parse_number(name, kib) && kib < std::uint64_t{1} << 53) add(kib << 10);
  }
  std::uint64_t transparent = 0;
  if (read_number(path(root).append("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size"), transparent))
    add(transparent);

  std::size_t known = 0;
  for (; sizes != 0; sizes &= sizes - 1, ++known) {
    if (known < out.size()) out[known] = static_cast<std::size_t>(sizes & ~(sizes - 1));
  }
  return known;
}

mapping reserve(std::size_t bytes, std::size_t alignment) noexcept {
  std::size_t surplus = 0;
  // NORESERVE: commit() then changes nothing in what the kernel has to account, so committed and reserved pieces merge
  // again and the number of mappings stays small.
  return obtain_aligned(bytes, alignment, MAP_NORESERVE, surplus);
}

mapping map(std::size_t bytes, std::size_t alignment) noexcept {
  if (alignment <= page_size()) return obtain(bytes, PROT_READ | PROT_WRITE, 0);
  std::size_t surplus = 0;
  const mapping range = obtain_aligned(bytes, alignment, 0, surplus);
  if (range.base == nullptr) return range;
  // The kernel charges the pages here (it may refuse), and only these: not the surplus.
  const os_error refused = protect(range.base, bytes, access::read_write);
  if (!refused.failed()) return range;
  if (::munmap(range.base, bytes) != 0) quarantined.fetch_add(bytes, std::memory_order_relaxed);
  return {nullptr, refused};
}

os_error commit(void* base, std::size_t bytes) noexcept { return protect(base, bytes, access::read_write); }

os_error uncommit(void* base, std::size_t bytes) noexcept {
  // Protection first: it is the step that may have to split a mapping, and it can be undone. Mapping fresh pages over
  // the range would be one call, but would lose its name, advice and merging, and a failure half way may leave a hole
  // for someone else's mmap.
  if (const os_error refused = protect(base, bytes, access::none); refused.failed()) return refused;
  const os_error refused = give_back(base, bytes);
  if (!refused.failed()) return success;
  // Back to what it was. The boundaries exist already, so this splits nothing; should it fail all the same, the pages
  // keep their contents behind no access, and the caller learns of the first refusal.
  static_cast<void>(protect(base, bytes, access::read_write));
  return refused;
}

os_error reserve_again(void* base, std::size_t bytes) noexcept {
  // Exactly what reserve() asks for, so that the kernel makes one mapping of this piece and its neighbours.
  void* const got = ::mmap(base, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  return got == MAP_FAILED ? os_error{"mmap", errno} : success;
}

os_error unmap(void* base, std::size_t bytes) noexcept { return answer("munmap", ::munmap(base, bytes)); }

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
  return answer("mprotect", ::mprotect(base, bytes, protection));
}

os_error give_back(void* base, std::size_t bytes) noexcept {
  return answer("madvise", ::madvise(base, bytes, MADV_DONTNEED));
}

os_error prefault(void* base, std::size_t bytes) noexcept {
  const os_error refused = answer("madvise", ::madvise(base, bytes, MADV_POPULATE_WRITE));
  if (refused.code != EINVAL) return refused;
  return touch_through_the_kernel(static_cast<char*>(base), bytes);
}

// As if read: of shared memory nobody has to be told when it is written, and reading enters 16 pages at a time.
os_error enter(void* base, std::size_t bytes) noexcept {
  const os_error refused = answer("madvise", ::madvise(base, bytes, MADV_POPULATE_READ));
  return refused.code == EINVAL ? success : refused;
}

os_error name(void* base, std::size_t bytes, const char* label) noexcept {
  // EINVAL: a kernel before 5.17 or without CONFIG_ANON_VMA_NAME; or a label it does not like. Neither is worth a
  // failure.
  const os_error refused = answer("prctl", ::prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, base, bytes, label));
  return refused.code == EINVAL ? success : refused;
}

std::size_t quarantined_bytes() noexcept { return quarantined.load(std::memory_order_relaxed); }

}  // namespace strata::platform
