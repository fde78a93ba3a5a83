// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>

export module strata.mem:inspector;

namespace strata::mem {

// Set before any object of static storage is made.
extern bool memcheck_runs;

}  // namespace strata::mem

/// Who watches every load and store of this process, and what Strata tells him: AddressSanitizer, built in, or valgrind's
/// memcheck, under which a plain build runs. The one room that speaks to them.
///
/// An inspector knows malloc. Of memory that Strata carves up itself he knows nothing unless told: so all that is not
/// handed out is hidden, and a stray load or store there is reported at once, with its stack.
///
///   hidden   nobody may touch it: AddressSanitizer's poison, memcheck's no-access
///   shown    may be used; memcheck takes what lies there for not initialised
///
/// Memory is shown again before it goes back to where it came from: what is mapped there later would be born hidden.
/// AddressSanitizer sees eight bytes at a time: what is shown starts at a multiple of 8, and so does what is hidden.
///
/// Where nobody inspects, these functions do nothing, and nothing of the library's calls them on a hot path. ThreadSanitizer
/// needs no word from here: blocks pass from thread to thread through atomics and locks, all of which it sees.
///
/// Threads  any; of one range one at a time
/// Signals  may be called in handlers
/// Errors   none. Nothing throws, allocates or locks, but for roots, of which LeakSanitizer keeps a list under a lock
export namespace strata::mem {

/// Whether AddressSanitizer is in this build: it explains faults itself, with handlers of its own.
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
inline constexpr bool has_address_sanitizer = true;
#else
inline constexpr bool has_address_sanitizer = false;
#endif
#else
inline constexpr bool has_address_sanitizer = false;
#endif

/// Whether ThreadSanitizer is: it does not see what code does that was built without it.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
inline constexpr bool has_thread_sanitizer = true;
#else
inline constexpr bool has_thread_sanitizer = false;
#endif
#else
inline constexpr bool has_thread_sanitizer = false;
#endif

/// Whether memcheck runs this process, and the library was built where its header is. Constant; asked once, at load.
[[nodiscard]] inline bool under_memcheck() noexcept { return memcheck_runs; }

/// Whether anybody inspects: a constant of the build with AddressSanitizer, else one of the process.
[[nodiscard]] inline bool inspected() noexcept {
  if constexpr (has_address_sanitizer) {
    return true;
  } else {
    return under_memcheck();
  }
}

/// Nobody may touch these bytes from now on; what they hold stays.
void hide(const void* p, std::size_t bytes) noexcept;

/// These bytes may be used; what they hold is taken for not initialised.
void show(const void* p, std::size_t bytes) noexcept;

/// These bytes may be used, and what they hold counts.
void show_as_is(const void* p, std::size_t bytes) noexcept;

/// Whether all of these bytes are hidden. Reads none of them, whatever `p` is. False where nobody inspects.
[[nodiscard]] bool is_hidden(const void* p, std::size_t bytes) noexcept;

/// Whether none of them is.
[[nodiscard]] bool is_shown(const void* p, std::size_t bytes) noexcept;

/// As memmove, of bytes that may be hidden. What memcheck knew of those that are not goes along, as far as they come to
/// lie in bytes that are not.
void move_hidden(void* to, const void* from, std::size_t bytes) noexcept;

/// What lies in this memory, mapped by the library, may be all that points to a block of malloc's: LeakSanitizer looks there
/// before it says that one is lost. Pages of it that are protected are left out; marked ones are not (:page_guards).
void add_root(const void* p, std::size_t bytes) noexcept;

/// Pre: the same was added.
void remove_root(const void* p, std::size_t bytes) noexcept;

/// As long as one lives, its thread may touch what is hidden, under memcheck. AddressSanitizer takes no such word: code
/// that looks at its own words there is compiled without its checks.
class look {
 public:
  look() noexcept;
  ~look();
  look(const look&) = delete;
  look& operator=(const look&) = delete;

 private:
  const bool told_;
};

}  // namespace strata::mem
