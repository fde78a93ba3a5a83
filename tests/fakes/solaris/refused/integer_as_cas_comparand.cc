// SPDX-License-Identifier: Apache-2.0
#include <atomic.h>

void* take(void** top, void* fresh) { return atomic_cas_ptr(top, 1, fresh); }
