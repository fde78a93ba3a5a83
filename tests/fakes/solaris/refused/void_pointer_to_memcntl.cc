// SPDX-License-Identifier: Apache-2.0
#include <sys/mman.h>

int advise(void* base, memcntl_mha* advice) {
  return memcntl(base, 0, MC_HAT_ADVISE, reinterpret_cast<caddr_t>(advice), 0, 0);
}
