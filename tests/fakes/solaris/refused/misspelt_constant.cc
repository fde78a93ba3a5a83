// SPDX-License-Identifier: Apache-2.0
#include <sys/mman.h>

int advise(caddr_t base, memcntl_mha* advice) {
  return memcntl(base, 0, MC_HAT_ADVICE, reinterpret_cast<caddr_t>(advice), 0, 0);
}
