// SPDX-License-Identifier: Apache-2.0
#ifndef STRATA_FAKE_SOLARIS_SYS_TYPES_H_
#define STRATA_FAKE_SOLARIS_SYS_TYPES_H_

// POSIX's part is the C library's; these are Solaris' own names. caddr_t is char* there as here.
#include_next <sys/types.h>

using uchar_t = unsigned char;
using ushort_t = unsigned short;
using uint_t = unsigned int;
using ulong_t = unsigned long;
using longlong_t = long long;
using u_longlong_t = unsigned long long;
using hrtime_t = long long;
enum boolean_t { B_FALSE = 0, B_TRUE = 1 };

using processorid_t = int;
using psetid_t = int;

#endif  // STRATA_FAKE_SOLARIS_SYS_TYPES_H_
