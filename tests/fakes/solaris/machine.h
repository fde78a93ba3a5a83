// SPDX-License-Identifier: Apache-2.0
#ifndef STRATA_TESTS_FAKES_SOLARIS_MACHINE_H_
#define STRATA_TESTS_FAKES_SOLARIS_MACHINE_H_

#include <array>
#include <cstddef>
#include <cstdint>

/// The Solaris machine that the fake pretends to be, for a test to arrange and to look into.
///
///     strata::fake_solaris::fresh_machine machine;
///     machine->may_lock = true;
///     machine->max_locked = 1 << 20;
///     machine.fail("mlock", 2, EAGAIN);  // the second mlock from here on
namespace strata::fake_solaris {

inline constexpr std::uint64_t no_limit = ~std::uint64_t{0};

struct settings {
  // --- what sysconf and kstat tell, in pages of page_sizes[0]; 0: as on the machine underneath
  std::uint64_t installed = 0;
  std::uint64_t physmem = 0;
  std::uint64_t freemem = 0;
  std::uint64_t pageslocked = 0;
  std::uint64_t zone_cap = 0;  ///< 0: none
  std::uint64_t zone_used = 0;
  bool kstat_works = true;
  bool has_zfs = false;
  std::uint64_t arc_size = 0;  // bytes, as the kstat
  std::uint64_t arc_minimum = 0;
  std::uint64_t arc_maximum = 0;

  // --- processors
  unsigned processors = 0;  ///< in the set of this process; 0: as on the machine underneath
  bool bound = false;       ///< this thread to one processor

  // --- privileges and resource controls; no_limit: not set
  bool may_lock = false;  ///< PRIV_PROC_LOCK_MEMORY, which ordinary users do not have
  std::uint64_t max_locked = no_limit;
  std::uint64_t max_shm_memory = no_limit;
  std::uint64_t max_shm_ids = 128;
  std::uint64_t cpu_cap = no_limit;  ///< percent of one processor

  // --- memory
  std::uint64_t swap = no_limit;  ///< bytes that private writable memory may reserve
  std::array<std::size_t, 3> page_sizes{4096, std::size_t{2} << 20, std::size_t{1} << 30};
  std::size_t page_size_count = 3;
  std::size_t ism_page = std::size_t{2} << 20;
  bool gives_large_pages = true;  ///< HAT advice is followed
  bool tmp_is_memory = true;      ///< /tmp is a tmpfs, whatever it is on the machine underneath
  bool tmpfs_allocates = false;   ///< posix_fallocate of shared memory objects; else it is EINVAL
  bool purges = true;             ///< knows MADV_PURGE; Oracle's does not
};

/// The settings as they are now.
settings& machine();

/// What the fake has on its books.
std::uint64_t reserved_swap();      ///< bytes
std::uint64_t locked_bytes();       ///< bytes, ISM included
std::uint64_t shared_memory_ids();  ///< that exist
std::uint64_t attached_segments();  ///< that are attached
std::uint64_t mapped_regions();     ///< pieces of address space with attributes of their own

/// While it lives, the machine is as it says; before and afterwards, as by default. Failures that were not met are
/// forgotten. What is mapped stays mapped.
class fresh_machine {
 public:
  fresh_machine();
  ~fresh_machine();
  fresh_machine(const fresh_machine&) = delete;
  fresh_machine& operator=(const fresh_machine&) = delete;

  settings* operator->() const { return &machine(); }

  /// The `nth` call of `name` from now on (1 is the next) is not made and reports `code`. Up to 8 wait at a time.
  void fail(const char* name, unsigned nth, int code) const;
};

}  // namespace strata::fake_solaris

#endif  // STRATA_TESTS_FAKES_SOLARIS_MACHINE_H_
