// SPDX-License-Identifier: Apache-2.0
#ifndef STRATA_FAKE_SOLARIS_KSTAT_H_
#define STRATA_FAKE_SOLARIS_KSTAT_H_

#include <stdint.h>
#include <sys/types.h>

#include "solaris_symbol.h"

#define KSTAT_STRLEN 31
#define KSTAT_TYPE_RAW 0
#define KSTAT_TYPE_NAMED 1
#define KSTAT_DATA_CHAR 0
#define KSTAT_DATA_INT32 1
#define KSTAT_DATA_UINT32 2
#define KSTAT_DATA_INT64 3
#define KSTAT_DATA_UINT64 4
#define KSTAT_DATA_LONG KSTAT_DATA_INT64
#define KSTAT_DATA_ULONG KSTAT_DATA_UINT64

using kid_t = int;

struct kstat_named_t {
  char name[KSTAT_STRLEN];
  uchar_t data_type;
  union {
    char c[16];
    int32_t i32;
    uint32_t ui32;
    int64_t i64;
    uint64_t ui64;
    long l;
    ulong_t ul;
  } value;
};

struct kstat_t {
  hrtime_t ks_crtime;
  kstat_t* ks_next;
  kid_t ks_kid;
  char ks_module[KSTAT_STRLEN];
  int ks_instance;
  char ks_name[KSTAT_STRLEN];
  uchar_t ks_type;
  char ks_class[KSTAT_STRLEN];
  void* ks_data;
  uint_t ks_ndata;
  size_t ks_data_size;
  hrtime_t ks_snaptime;
};

struct kstat_ctl_t {
  kid_t kc_chain_id;
  kstat_t* kc_chain;
  int kc_kd;
};

extern "C" {
kstat_ctl_t* kstat_open(void) STRATA_FAKE_SYMBOL(kstat_open);
int kstat_close(kstat_ctl_t* control) STRATA_FAKE_SYMBOL(kstat_close);
kid_t kstat_read(kstat_ctl_t* control, kstat_t* which, void* into) STRATA_FAKE_SYMBOL(kstat_read);
kstat_t* kstat_lookup(kstat_ctl_t* control, char* module, int instance, char* name) STRATA_FAKE_SYMBOL(kstat_lookup);
void* kstat_data_lookup(kstat_t* in, char* name) STRATA_FAKE_SYMBOL(kstat_data_lookup);
}

#endif  // STRATA_FAKE_SOLARIS_KSTAT_H_
