// SPDX-License-Identifier: Apache-2.0
#ifndef STRATA_FAKE_SOLARIS_SYS_SHM_H_
#define STRATA_FAKE_SOLARIS_SYS_SHM_H_

#include <sys/ipc.h>
#include <sys/types.h>

#include "solaris_symbol.h"

#define SHM_R 0400
#define SHM_W 0200
#define SHM_RDONLY 010000
#define SHM_RND 020000
#define SHM_SHARE_MMU 040000
#define SHM_PAGEABLE 0100000
#define SHM_LOCK 3
#define SHM_UNLOCK 4

using shmatt_t = unsigned long;

struct shmid_ds {
  struct ipc_perm shm_perm;
  size_t shm_segsz;
  ushort_t shm_lkcnt;
  pid_t shm_lpid;
  pid_t shm_cpid;
  shmatt_t shm_nattch;
  ulong_t shm_cnattch;
};

extern "C" {
int shmget(key_t key, size_t bytes, int flags) STRATA_FAKE_SYMBOL(shmget);
int shmids(int* ids, uint_t room, uint_t* count) STRATA_FAKE_SYMBOL(shmids);
int shmctl(int id, int command, struct shmid_ds* data) STRATA_FAKE_SYMBOL(shmctl);
void* shmat(int id, const void* address, int flags) STRATA_FAKE_SYMBOL(shmat);
int shmdt(char* address) STRATA_FAKE_SYMBOL(shmdt);
}

#endif  // STRATA_FAKE_SOLARIS_SYS_SHM_H_
