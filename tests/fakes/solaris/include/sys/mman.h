// SPDX-License-Identifier: Apache-2.0
#ifndef STRATA_FAKE_SOLARIS_SYS_MMAN_H_
#define STRATA_FAKE_SOLARIS_SYS_MMAN_H_

/// As a Solaris source sees it that asks for no X/Open level: addresses are caddr_t, that is char*.
#include <stdint.h>
#include <sys/types.h>

#include "solaris_symbol.h"

#define PROT_NONE 0x0
#define PROT_READ 0x1
#define PROT_WRITE 0x2
#define PROT_EXEC 0x4

#define MAP_SHARED 1
#define MAP_PRIVATE 2
#define MAP_TYPE 0xf
#define MAP_FIXED 0x10
#define MAP_NORESERVE 0x40
#define MAP_32BIT 0x80
#define MAP_ANON 0x100
#define MAP_ANONYMOUS MAP_ANON
#define MAP_ALIGN 0x200
#define MAP_FAILED (reinterpret_cast<void*>(-1))

#define MADV_NORMAL 0
#define MADV_RANDOM 1
#define MADV_SEQUENTIAL 2
#define MADV_WILLNEED 3
#define MADV_DONTNEED 4
#define MADV_FREE 5
#define MADV_ACCESS_DEFAULT 6
#define MADV_ACCESS_LWP 7
#define MADV_ACCESS_MANY 8
#define MADV_PURGE 9

#define MC_SYNC 1
#define MC_LOCK 2
#define MC_UNLOCK 3
#define MC_ADVISE 4
#define MC_LOCKAS 5
#define MC_UNLOCKAS 6
#define MC_HAT_ADVISE 7
#define MC_INHERIT_ZERO 8

#define MHA_MAPSIZE_VA 0x1
#define MHA_MAPSIZE_BSSBRK 0x2
#define MHA_MAPSIZE_STACK 0x4

#define MEMINFO_SHIFT 16
#define MEMINFO_VPHYSICAL (0x01 << MEMINFO_SHIFT)
#define MEMINFO_VLGRP (0x02 << MEMINFO_SHIFT)
#define MEMINFO_VPAGESIZE (0x03 << MEMINFO_SHIFT)
#define MAX_MEMINFO_CNT 256
#define MAX_MEMINFO_REQ 31

struct memcntl_mha {
  uint_t mha_cmd;
  uint_t mha_flags;
  size_t mha_pagesize;
};

/// A struct as well as a function (P-S-06).
struct meminfo {
  const uint64_t* mi_inaddr;
  const uint_t* mi_info_req;
  uint64_t* mi_outdata;
  uint_t* mi_validity;
  int mi_info_count;
};

extern "C" {
caddr_t mmap(caddr_t address, size_t bytes, int protection, int flags, int fd, off_t offset) STRATA_FAKE_SYMBOL(mmap);
int munmap(caddr_t address, size_t bytes) STRATA_FAKE_SYMBOL(munmap);
int mprotect(caddr_t address, size_t bytes, int protection) STRATA_FAKE_SYMBOL(mprotect);
int madvise(caddr_t address, size_t bytes, int advice) STRATA_FAKE_SYMBOL(madvise);
int mincore(caddr_t address, size_t bytes, char* resident) STRATA_FAKE_SYMBOL(mincore);
int mlock(caddr_t address, size_t bytes) STRATA_FAKE_SYMBOL(mlock);
int munlock(caddr_t address, size_t bytes) STRATA_FAKE_SYMBOL(munlock);
int memcntl(caddr_t address, size_t bytes, int command, caddr_t argument, int attributes, int mask)
    STRATA_FAKE_SYMBOL(memcntl);
int getpagesizes(size_t* sizes, int count) STRATA_FAKE_SYMBOL(getpagesizes2);
int meminfo(const uint64_t* addresses, int address_count, const uint_t* requests, int request_count, uint64_t* answers,
            uint_t* validity) STRATA_FAKE_SYMBOL(meminfo);
int shm_open(const char* name, int flags, mode_t mode) STRATA_FAKE_SYMBOL(shm_open);
int shm_unlink(const char* name) STRATA_FAKE_SYMBOL(shm_unlink);
}

#endif  // STRATA_FAKE_SOLARIS_SYS_MMAN_H_
