// SPDX-License-Identifier: Apache-2.0
#include <sys/mman.h>

int share() { return memfd_create("x", 0); }
