// SPDX-License-Identifier: Apache-2.0
//
// The calls of <sys/shm.h>: P-S-30…38. Segments live in the process that made them and in its children's copies.
#include <errno.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "tests/fakes/solaris/books.h"
#include "tests/fakes/solaris/host.h"
#include "tests/fakes/solaris/machine.h"

namespace fake = strata::fake_solaris;
using fake::books_lock;
using fake::machine;
using fake::region;
using fake::region_kind;

namespace {

struct segment {
  bool exists;
  bool removed;  // by IPC_RMID: goes with its last attachment
  int fd;
  key_t key;
  mode_t mode;
  std::size_t bytes;
  std::size_t backed;  // bytes in whole large pages
  region_kind kind;    // what its first attachment made of it
  bool attached_before;
  unsigned lock_count;
  unsigned attachments;
};

struct attachment {
  std::uintptr_t begin;
  std::uintptr_t end;
  int id;
};

constexpr int kMostSegments = 256;
constexpr std::size_t kMostAttachments = 1024;
constinit segment segments[kMostSegments] = {};
constinit attachment attachments[kMostAttachments] = {};
constinit std::size_t attachment_count = 0;

int refuse(int code) {
  errno = code;
  return -1;
}

void* refuse_attach(int code) {
  errno = code;
  return MAP_FAILED;
}

segment* segment_of(int id) {
  if (id < 0 || id >= kMostSegments || !segments[id].exists) return nullptr;
  return &segments[id];
}

void end_if_unused(segment& s) {
  if (!s.removed || s.attachments != 0) return;
  fake::host::close_file(s.fd);
  s = segment{};
}

std::size_t rounded(std::size_t bytes, std::size_t unit) { return (bytes + unit - 1) / unit * unit; }

/// Takes attachment `i` off the list.
void drop(std::size_t i) {
  segment& s = segments[attachments[i].id];
  --s.attachments;
  attachments[i] = attachments[--attachment_count];
  end_if_unused(s);
}

std::uint64_t bytes_of_all_segments() {
  std::uint64_t bytes = 0;
  for (const segment& s : segments) bytes += s.exists ? s.bytes : 0;
  return bytes;
}

}  // namespace

namespace strata::fake_solaris {

bool cuts_an_attachment(std::uintptr_t begin, std::uintptr_t end) {
  return std::any_of(attachments, attachments + attachment_count, [=](const attachment& a) {
    const bool pieces_may_go = segments[a.id].kind == region_kind::shared;
    return !pieces_may_go && a.begin < end && begin < a.end && (a.begin < begin || a.end > end);
  });
}

void detached(std::uintptr_t begin, std::uintptr_t end) {
  for (std::size_t i = attachment_count; i-- != 0;) {
    if (attachments[i].begin >= begin && attachments[i].end <= end) drop(i);
  }
}

std::uint64_t shared_memory_ids() {
  const books_lock lock;
  return static_cast<std::uint64_t>(
      std::count_if(std::begin(segments), std::end(segments), [](const segment& s) { return s.exists; }));
}

std::uint64_t attached_segments() {
  const books_lock lock;
  return attachment_count;
}

}  // namespace strata::fake_solaris

int shmget(key_t key, size_t bytes, int flags) {
  const books_lock lock;
  if (fake::fails("shmget")) return -1;
  if (key != IPC_PRIVATE) {
    for (int id = 0; id != kMostSegments; ++id) {
      segment& s = segments[id];
      if (!s.exists || s.removed || s.key != key) continue;
      if ((flags & IPC_CREAT) != 0 && (flags & IPC_EXCL) != 0) return refuse(EEXIST);
      return bytes > s.bytes ? refuse(EINVAL) : id;
    }
    if ((flags & IPC_CREAT) == 0) return refuse(ENOENT);
  }
  // A limit that is exceeded is EINVAL as well, not ENOMEM (P-S-35).
  const std::uint64_t used = bytes_of_all_segments();
  if (bytes == 0 || bytes > machine().max_shm_memory || used > machine().max_shm_memory - bytes) return refuse(EINVAL);
  const auto exist = std::count_if(std::begin(segments), std::end(segments), [](const segment& s) { return s.exists; });
  if (static_cast<std::uint64_t>(exist) >= std::min(machine().max_shm_ids, std::uint64_t{kMostSegments}))
    return refuse(ENOSPC);
  if (bytes > fake::swap_left()) return refuse(ENOMEM);
  const std::size_t backed = rounded(bytes, machine().ism_page);
  const int fd = fake::host::memory_file(backed);
  if (fd < 0) return refuse(ENOMEM);
  int id = 0;
  while (segments[id].exists) ++id;
  segments[id] = {true,  false, fd, key, static_cast<mode_t>(flags & 0777), bytes, backed, region_kind::shared,
                  false, 0,     0};
  return id;
}

void* shmat(int id, const void* address, int flags) {
  const books_lock lock;
  if (fake::fails("shmat")) return MAP_FAILED;
  segment* const s = segment_of(id);
  constexpr int kKnown = SHM_R | SHM_W | SHM_RDONLY | SHM_RND | SHM_SHARE_MMU | SHM_PAGEABLE;
  if (s == nullptr || (flags & ~kKnown) != 0) return refuse_attach(EINVAL);
  const bool ism = (flags & SHM_SHARE_MMU) != 0;
  const bool dism = (flags & SHM_PAGEABLE) != 0;
  const bool read_only = (flags & SHM_RDONLY) != 0;
  if (ism && dism) return refuse_attach(EINVAL);
  const region_kind kind = ism ? region_kind::ism : dism ? region_kind::dism : region_kind::shared;
  // One who has it as ISM and one who has it as DISM: no. Plain attachments go with both.
  const bool had_kind = s->attached_before && s->kind != region_kind::shared;
  if (had_kind && kind != region_kind::shared && s->kind != kind) return refuse_attach(EINVAL);
  if ((s->mode & SHM_R) == 0 || ((!read_only || ism) && (s->mode & SHM_W) == 0)) return refuse_attach(EACCES);
  if (attachment_count == kMostAttachments) return refuse_attach(EMFILE);
  if (!fake::has_room()) return MAP_FAILED;

  const std::size_t unit = ism || dism ? machine().ism_page : machine().page_sizes[0];
  const std::size_t bytes = rounded(s->bytes, unit);
  auto begin = reinterpret_cast<std::uintptr_t>(address);
  if ((flags & SHM_RND) != 0) begin -= begin % unit;
  if (begin % unit != 0) return refuse_attach(EINVAL);
  const bool first_ism = ism && !(s->attached_before && s->kind == region_kind::ism);
  if (first_ism && bytes > fake::lock_left()) return refuse_attach(ENOMEM);

  const bool chosen = begin != 0;
  for (std::size_t attempt = 0;; ++attempt) {
    if (!chosen) begin = fake::place(bytes, unit, attempt);
    if (begin == 0 || attempt == 16) return refuse_attach(ENOMEM);
    if (fake::host::map(reinterpret_cast<void*>(begin), bytes, true, !read_only, fake::host::sharing::shared_file,
                        s->fd, 0, false))
      break;
    if (errno != EEXIST) return MAP_FAILED;
    if (chosen) return refuse_attach(EINVAL);  // taken
  }
  // ISM: every page is there from the first attach on.
  if (first_ism && !read_only && !fake::host::populate(reinterpret_cast<void*>(begin), bytes)) {
    fake::host::unmap(reinterpret_cast<void*>(begin), bytes);
    return refuse_attach(ENOMEM);
  }
  region fresh{};
  fresh.begin = begin;
  fresh.end = begin + bytes;
  fresh.segment = static_cast<std::uint32_t>(id) + 1;
  fresh.kind = kind;
  fresh.readable = true;
  fresh.writable = !read_only;
  fresh.locked = ism;
  fake::add(fresh);
  attachments[attachment_count++] = {fresh.begin, fresh.end, id};
  if (!had_kind) s->kind = kind;
  s->attached_before = true;
  ++s->attachments;
  return reinterpret_cast<void*>(begin);
}

int shmdt(char* address) {
  const books_lock lock;
  if (fake::fails("shmdt")) return -1;
  const auto begin = reinterpret_cast<std::uintptr_t>(address);
  for (std::size_t i = 0; i != attachment_count; ++i) {
    const attachment a = attachments[i];
    if (a.begin != begin) continue;
    if (!fake::has_room() || !fake::host::unmap(address, a.end - a.begin)) return -1;
    fake::forget(a.begin, a.end);
    drop(i);
    return 0;
  }
  return refuse(EINVAL);
}

int shmctl(int id, int command, struct shmid_ds* data) {
  const books_lock lock;
  if (fake::fails("shmctl")) return -1;
  segment* const s = segment_of(id);
  if (s == nullptr) return refuse(EINVAL);
  switch (command) {
    case IPC_RMID:
      s->removed = true;
      end_if_unused(*s);
      return 0;
    case IPC_STAT:
      if (data == nullptr) return refuse(EFAULT);
      *data = {};
      data->shm_perm.mode = s->mode;
      data->shm_segsz = s->bytes;
      data->shm_lkcnt = static_cast<ushort_t>(s->lock_count);
      data->shm_cpid = ::getpid();
      data->shm_nattch = s->attachments;
      data->shm_cnattch = s->kind == region_kind::ism ? s->attachments : 0;
      return 0;
    case SHM_LOCK:
    case SHM_UNLOCK:
      if (!machine().may_lock) return refuse(EPERM);
      if (command == SHM_LOCK) {
        ++s->lock_count;
      } else if (s->lock_count != 0) {
        --s->lock_count;
      }
      return 0;
    default:
      return refuse(EINVAL);
  }
}

int shmids(int* ids, uint_t room, uint_t* count) {
  const books_lock lock;
  if (fake::fails("shmids")) return -1;
  if (count == nullptr) return refuse(EFAULT);
  *count = 0;
  for (int id = 0; id != kMostSegments; ++id) {
    if (!segments[id].exists) continue;
    if (*count < room) ids[*count] = id;
    ++*count;
  }
  return 0;
}
