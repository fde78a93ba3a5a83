// SPDX-License-Identifier: Apache-2.0
//
// What the machine says of itself: sysconf, kstat, resource controls, privileges, processor sets (P-S-40, P-S-60…62).
#include <errno.h>
#include <kstat.h>
#include <priv.h>
#include <rctl.h>
#include <sys/processor.h>
#include <sys/pset.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <iterator>

#include "tests/fakes/solaris/books.h"
#include "tests/fakes/solaris/host.h"
#include "tests/fakes/solaris/machine.h"

namespace fake = strata::fake_solaris;
using fake::books_lock;
using fake::machine;

struct rctlblk {
  std::uint64_t value;
  uint_t flags;
};

namespace {

int refuse(int code) {
  errno = code;
  return -1;
}

std::uint64_t physmem() { return machine().physmem != 0 ? machine().physmem : fake::host::pages_installed(); }
std::uint64_t installed() { return machine().installed != 0 ? machine().installed : physmem(); }
std::uint64_t freemem() {
  return std::min(machine().freemem != 0 ? machine().freemem : fake::host::pages_free(), physmem());
}
unsigned processors() { return machine().processors != 0 ? machine().processors : fake::host::processors_online(); }

int answer(const fake::host::room& room, bool memory, struct statvfs* found) {
  *found = {};
  found->f_bsize = found->f_frsize = room.unit;
  found->f_blocks = room.blocks;
  found->f_bfree = found->f_bavail = room.free;
  std::strncpy(found->f_basetype, memory ? "tmpfs" : "zfs", sizeof found->f_basetype - 1);
  return 0;
}

// --- kstat: a chain of two, the second only with ZFS. One user at a time has it open; each has its own copy there.

struct chain {
  kstat_ctl_t control;
  kstat_t pages;
  kstat_t arc;
  kstat_named_t page_values[6];
  kstat_named_t arc_values[4];
};
constinit thread_local chain the_chain{};

void name_kstat(kstat_t& k, const char* module, const char* name, const char* of_class) {
  k = {};
  std::strncpy(k.ks_module, module, KSTAT_STRLEN - 1);
  std::strncpy(k.ks_name, name, KSTAT_STRLEN - 1);
  std::strncpy(k.ks_class, of_class, KSTAT_STRLEN - 1);
  k.ks_type = KSTAT_TYPE_NAMED;
}

kstat_named_t named(const char* name, std::uint64_t value) {
  kstat_named_t n{};
  std::strncpy(n.name, name, KSTAT_STRLEN - 1);
  n.data_type = KSTAT_DATA_UINT64;
  n.value.ui64 = value;
  return n;
}

}  // namespace

long sysconf(int what) {
  const books_lock lock;
  if (fake::fails("sysconf")) return -1;
  const std::uint64_t cap = machine().zone_cap;
  switch (what) {
    case _SC_PAGESIZE:
      return static_cast<long>(machine().page_sizes[0]);
    case _SC_NPROCESSORS_CONF:
    case _SC_NPROCESSORS_ONLN:
      return static_cast<long>(processors());
    case _SC_PHYS_PAGES:
      return static_cast<long>(cap != 0 ? std::min(cap, installed()) : installed());
    case _SC_AVPHYS_PAGES:
      if (cap == 0) return static_cast<long>(freemem());
      return static_cast<long>(cap - std::min(cap, machine().zone_used));
    default:
      return refuse(EINVAL);
  }
}

kstat_ctl_t* kstat_open(void) {
  const books_lock lock;
  if (fake::fails("kstat_open")) return nullptr;
  if (!machine().kstat_works) return errno = ENOENT, nullptr;
  chain& c = the_chain;
  name_kstat(c.pages, "unix", "system_pages", "pages");
  name_kstat(c.arc, "zfs", "arcstats", "misc");
  if (machine().has_zfs) c.pages.ks_next = &c.arc;
  c.control = {1, &c.pages, 3};
  return &c.control;
}

int kstat_close(kstat_ctl_t* control) {
  const books_lock lock;
  if (fake::fails("kstat_close")) return -1;
  return control == &the_chain.control ? 0 : refuse(EINVAL);
}

kid_t kstat_read(kstat_ctl_t* control, kstat_t* which, void* into) {
  const books_lock lock;
  if (fake::fails("kstat_read")) return -1;
  chain& c = the_chain;
  if (control != &c.control || into != nullptr) return refuse(EINVAL);
  if (which == &c.pages) {
    const std::uint64_t locked = machine().pageslocked;
    const std::uint64_t total = physmem();
    c.page_values[0] = named("physmem", total);
    c.page_values[1] = named("freemem", freemem());
    c.page_values[2] = named("pagesfree", freemem());
    c.page_values[3] = named("pageslocked", locked);
    c.page_values[4] = named("pagestotal", total);
    c.page_values[5] = named("availrmem", total - std::min(total, locked));
    which->ks_data = c.page_values;
    which->ks_ndata = static_cast<uint_t>(std::size(c.page_values));
    which->ks_data_size = sizeof c.page_values;
  } else if (which == &c.arc) {
    c.arc_values[0] = named("size", machine().arc_size);
    c.arc_values[1] = named("c", machine().arc_size);
    c.arc_values[2] = named("c_min", machine().arc_minimum);
    c.arc_values[3] = named("c_max", machine().arc_maximum);
    which->ks_data = c.arc_values;
    which->ks_ndata = static_cast<uint_t>(std::size(c.arc_values));
    which->ks_data_size = sizeof c.arc_values;
  } else {
    return refuse(ENXIO);
  }
  return control->kc_chain_id;
}

kstat_t* kstat_lookup(kstat_ctl_t* control, char* module, int instance, char* name) {
  for (kstat_t* k = control->kc_chain; k != nullptr; k = k->ks_next) {
    const bool is_module = module == nullptr || std::strcmp(module, k->ks_module) == 0;
    const bool is_instance = instance == -1 || instance == k->ks_instance;
    if (is_module && is_instance && (name == nullptr || std::strcmp(name, k->ks_name) == 0)) return k;
  }
  errno = ENOENT;
  return nullptr;
}

void* kstat_data_lookup(kstat_t* in, char* name) {
  if (in->ks_type != KSTAT_TYPE_NAMED || in->ks_data == nullptr) return errno = EINVAL, nullptr;
  auto* const values = static_cast<kstat_named_t*>(in->ks_data);
  for (uint_t i = 0; i != in->ks_ndata; ++i) {
    if (std::strcmp(values[i].name, name) == 0) return &values[i];
  }
  errno = ENOENT;
  return nullptr;
}

size_t rctlblk_size(void) { return sizeof(rctlblk); }
rctl_qty_t rctlblk_get_value(rctlblk_t* block) { return block->value; }
uint_t rctlblk_get_local_flags(rctlblk_t* block) { return block->flags; }

/// Each control has one value.
int getrctl(const char* name, rctlblk_t*, rctlblk_t* block, uint_t flags) {
  const books_lock lock;
  if (fake::fails("getrctl")) return -1;
  std::uint64_t value = fake::no_limit;
  if (std::strcmp(name, "project.max-locked-memory") == 0) {
    value = machine().max_locked;
  } else if (std::strcmp(name, "zone.max-locked-memory") == 0) {
    value = fake::no_limit;
  } else if (std::strcmp(name, "project.max-shm-memory") == 0) {
    value = machine().max_shm_memory;
  } else if (std::strcmp(name, "project.max-shm-ids") == 0) {
    value = machine().max_shm_ids;
  } else if (std::strcmp(name, "zone.cpu-cap") == 0) {
    value = machine().cpu_cap;
  } else {
    return refuse(EINVAL);
  }
  if (flags == RCTL_NEXT) return refuse(ENOENT);
  if (flags == RCTL_USAGE) {
    if (std::strcmp(name, "project.max-locked-memory") != 0) return refuse(ENOTSUP);
    block->value = machine().max_locked == fake::no_limit ? 0 : machine().max_locked - fake::lock_left();
    block->flags = 0;
    return 0;
  }
  if (flags != RCTL_FIRST) return refuse(EINVAL);
  block->value = value;
  block->flags = value == fake::no_limit ? RCTL_LOCAL_MAXIMAL : 0;
  return 0;
}

boolean_t priv_ineffect(const char* privilege) {
  const books_lock lock;
  if (std::strcmp(privilege, PRIV_PROC_LOCK_MEMORY) == 0) return machine().may_lock ? B_TRUE : B_FALSE;
  return B_FALSE;
}

int pset_info(psetid_t set, int* kind, uint_t* count, processorid_t* list) {
  const books_lock lock;
  if (fake::fails("pset_info")) return -1;
  if (set != PS_MYID || list != nullptr) return refuse(EINVAL);
  if (kind != nullptr) *kind = 1;
  if (count != nullptr) *count = processors();
  return 0;
}

int processor_bind(int kind, id_t id, processorid_t processor, processorid_t* previous) {
  const books_lock lock;
  if (fake::fails("processor_bind")) return -1;
  if (kind != P_LWPID || id != static_cast<id_t>(P_MYID) || processor != PBIND_QUERY) return refuse(EINVAL);
  if (previous != nullptr) *previous = machine().bound ? 0 : PBIND_NONE;
  return 0;
}

int statvfs(const char* path, struct statvfs* found) {
  const books_lock lock;
  fake::host::room room;
  if (fake::fails("statvfs") || !fake::host::room_at(path, room)) return -1;
  return answer(room, std::strcmp(path, "/tmp") == 0 ? machine().tmp_is_memory : room.is_memory, found);
}

int fstatvfs(int fd, struct statvfs* found) {
  const books_lock lock;
  fake::host::room room;
  if (fake::fails("fstatvfs") || !fake::host::room_behind(fd, room)) return -1;
  return answer(room, room.is_memory, found);
}
