// SPDX-License-Identifier: Apache-2.0
#include <sys/shm.h>

int detach(void* base) { return shmdt(base); }
