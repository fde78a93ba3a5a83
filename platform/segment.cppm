// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>

export module strata.platform:segment;

import :error;
import :page;

/// Memory that several processes can have: private segments, and objects with a name or a descriptor.
///
/// Preconditions as in `page`. Whatever is made here is for its owner alone (mode 0600) and closed by exec. Nothing here
/// throws, allocates or logs. Interrupted calls are repeated.
///
/// Threads  every function may be called from any thread; two calls on one object or range are the caller's to order
/// Fork     a child has the same memory, not a copy: what one writes, the other reads. Descriptors are inherited
/// Signals  no function is for signal handlers
export namespace strata::platform {

enum class segment_kind : std::uint8_t {
  ism,       ///< large pages, never paged out; refused where there are none
  dism,      ///< pageable, may be locked in pieces; shares page tables where the OS can
  pageable,  ///< ordinary
};

/// Makes a segment of zeros that no one else can find, attached. Its id is gone again before this returns, so that
/// nothing is left of it once the last process that has it detaches or dies, however it dies. Zero-filled; pages appear
/// when touched (prefault() makes sure they are there), except for ism.
/// `page_bytes`: for ism, a size with a pool on systems that have pools; else page_size(). `bytes` is a multiple of it.
/// The base is aligned to `alignment`, a power of two from `page_bytes` to 1 GiB.
/// Refused: too large for the system's limits (EINVAL), too many segments (ENOSPC) or attachments (EMFILE), no memory or
/// no large pages (ENOMEM), not allowed (EPERM, EACCES). No id is left behind: when removing it was refused as well,
/// stray_segments() counts it.
[[nodiscard]] mapping attach_private(std::size_t bytes, segment_kind kind, std::size_t page_bytes,
                                     std::size_t alignment) noexcept;

/// Gives a segment up. `base` as attach_private() returned it; parts cannot be given up.
[[nodiscard]] os_error detach(void* base) noexcept;

/// Ids this process made and the OS would not let it remove. 0 in all ordinary life.
[[nodiscard]] std::size_t stray_segments() noexcept;

/// A shared memory object; -1 when there is none.
struct shared_object {
  int descriptor = -1;
  os_error error{};
};

/// Makes an object of a name, empty. `name` is "/" and then 1 … 254 characters without another "/".
/// Refused: the name is taken (EEXIST), not allowed (EACCES), too many descriptors (EMFILE, ENFILE), no space (ENOSPC).
[[nodiscard]] shared_object create_named(const char* name) noexcept;

/// Opens an object for reading and writing. Refused: there is none (ENOENT), not allowed (EACCES), …
[[nodiscard]] shared_object open_named(const char* name) noexcept;

/// Takes the name away; who has the object keeps it. Refused: there is none (ENOENT), not allowed (EACCES).
[[nodiscard]] os_error unlink_named(const char* name) noexcept;

/// Makes an object without a name, empty. `label` is for tools; a system may ignore it.
[[nodiscard]] shared_object create_unnamed(const char* label) noexcept;

/// Sets the size in bytes: what is beyond is zero, or gone. No memory is taken. Refused: more than a file of this
/// process may have, by its limit too (EFBIG, and no signal), sealed (EPERM), …
[[nodiscard]] os_error resize(int descriptor, std::size_t bytes) noexcept;

/// Takes memory for the first `bytes`, so that no later touch is refused by a signal. Refused: too little (ENOSPC,
/// ENOMEM), too large a file (EFBIG); some may then be taken. An object without a name may know no bound but the machine: ask memory() first.
[[nodiscard]] os_error reserve_memory(int descriptor, std::size_t bytes) noexcept;

/// Size of an object in bytes; 0 and the error when it is not known.
struct object_size {
  std::size_t bytes = 0;
  os_error error{};
};
[[nodiscard]] object_size size_of(int descriptor) noexcept;

/// Bytes that can still be reserved where this object lives; SIZE_MAX when that place has no bound of its own.
[[nodiscard]] std::size_t room_of(int descriptor) noexcept;

/// Forbids for ever to change the size, for this and every other process. Refused: a named object, or a system that
/// cannot (EINVAL, EPERM, ENOSYS).
[[nodiscard]] os_error seal_size(int descriptor) noexcept;

/// Maps an object from its beginning, readable and writable, shared, so that `base + skew` is a multiple of `alignment`.
/// unmap() gives the range up. Refused: no address space, too many mappings (ENOMEM), …
/// Pre: `skew` is a multiple of page_size(), at most `alignment`, which is a power of two from page_size() to 1 GiB.
[[nodiscard]] mapping map_object(int descriptor, std::size_t bytes, std::size_t alignment, std::size_t skew) noexcept;

/// The same at one address and no other. Where something is mapped already it is refused (EEXIST), never replaced.
[[nodiscard]] mapping map_object_at(int descriptor, std::size_t bytes, void* where) noexcept;

/// Maps part of an object, readable and writable, shared, over part of one's own address space, and replaces what is
/// there: a reservation, or what was mapped over one before. reserve_again() undoes it. Parts that follow each other in
/// the object and in address space are one mapping. Refused: too many mappings (ENOMEM), …; the range is as it was.
/// Pre: `offset` is a multiple of page_size(); the part ends within the object, or touching what is beyond is a signal.
[[nodiscard]] os_error map_object_over(int descriptor, std::size_t offset, std::size_t bytes, void* where) noexcept;

/// Hands the memory of a part of an object back at once; it reads as zero in every mapping, and the size stays, sealed
/// or not. Refused where the OS cannot (ENOTSUP): the part is as it was.
/// Pre: `offset` and `bytes` are multiples of page_size() and bytes > 0.
[[nodiscard]] os_error give_back_part(int descriptor, std::size_t offset, std::size_t bytes) noexcept;

/// Closes a descriptor. Mappings stay. Never repeated.
void close_object(int descriptor) noexcept;

}  // namespace strata::platform
