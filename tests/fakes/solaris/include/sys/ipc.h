// SPDX-License-Identifier: Apache-2.0
#ifndef STRATA_FAKE_SOLARIS_SYS_IPC_H_
#define STRATA_FAKE_SOLARIS_SYS_IPC_H_

#include <sys/types.h>

#define IPC_CREAT 0001000
#define IPC_EXCL 0002000
#define IPC_NOWAIT 0004000
#define IPC_PRIVATE (static_cast<key_t>(0))
#define IPC_RMID 10
#define IPC_SET 11
#define IPC_STAT 12

struct ipc_perm {
  uid_t uid;
  gid_t gid;
  uid_t cuid;
  gid_t cgid;
  mode_t mode;
};

#endif  // STRATA_FAKE_SOLARIS_SYS_IPC_H_
