// SPDX-License-Identifier: Apache-2.0
module;
#include <signal.h>
#include <ucontext.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

module strata.platform:fault.linux;

import :fault;

namespace strata::platform {

#if defined(__x86_64__)

// The trap's number and, for a page fault, the error code the processor pushed.
fault_access access_in(const void* context) noexcept {
  constexpr std::uint64_t kPageFault = 14;
  constexpr std::uint64_t kWrite = 1U << 1U;
  constexpr std::uint64_t kFetch = 1U << 4U;
  const auto& registers = static_cast<const ucontext_t*>(context)->uc_mcontext.gregs;
  if (static_cast<std::uint64_t>(registers[REG_TRAPNO]) != kPageFault) return fault_access::unknown;
  const auto error = static_cast<std::uint64_t>(registers[REG_ERR]);
  if ((error & kFetch) != 0) return fault_access::fetch;
  return (error & kWrite) != 0 ? fault_access::store : fault_access::load;
}

#elif defined(__aarch64__)

// The exception syndrome, in one of the records that follow the registers.
fault_access access_in(const void* context) noexcept {
  struct record {
    std::uint32_t magic;
    std::uint32_t bytes;
  };
  constexpr std::uint32_t kSyndrome = 0x45535201;  // ESR_MAGIC
  const auto& records = static_cast<const ucontext_t*>(context)->uc_mcontext.__reserved;
  for (std::size_t at = 0; at + sizeof(record) + sizeof(std::uint64_t) <= sizeof records;) {
    record head{};
    std::memcpy(&head, records + at, sizeof head);
    if (head.magic == 0 || head.bytes < sizeof head) break;
    if (head.magic != kSyndrome) {
      at += head.bytes;
      continue;
    }
    std::uint64_t syndrome = 0;
    std::memcpy(&syndrome, records + at + sizeof head, sizeof syndrome);
    constexpr std::uint64_t kWrite = 1U << 6U;
    constexpr std::uint64_t kCacheMaintenance = 1U << 8U;  // is told as a write, and is none
    switch (syndrome >> 26U) {                             // the class of the exception
      case 0x20:
      case 0x21:
        return fault_access::fetch;
      case 0x24:
      case 0x25:
        return (syndrome & (kWrite | kCacheMaintenance)) == kWrite ? fault_access::store : fault_access::load;
      default:
        return fault_access::unknown;
    }
  }
  return fault_access::unknown;
}

#else

fault_access access_in(const void*) noexcept { return fault_access::unknown; }

#endif

}  // namespace strata::platform
