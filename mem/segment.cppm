// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

export module strata.mem:segment;

import :page_run;

import strata.platform;

/// Segments: memory that other processes can have as well, taken so that it is really there.
///
///   private   | payload ………………………… |                 no name; children inherit it
///   object    | header, one page | payload ………… |    another process maps it at the address the header records
///             ^ multiple of a page  ^ aligned as asked
///
/// Before anything is taken, what the machine, a container or a file system has left is compared with the request: what
/// an object without a name lacks is found out by the OOM killer, and not by an error.
///
/// Any thread; nothing throws or allocates; dozens of system calls each. In a child of fork() a segment is the same
/// memory.
export namespace strata::mem {

using platform::large_page_size;

enum class segment_kind : std::uint8_t { ism, dism, pageable, named, sealed };

[[nodiscard]] inline constexpr bool is_object(segment_kind kind) noexcept {
  return kind == segment_kind::named || kind == segment_kind::sealed;
}

/// The first bytes of an object: the same layout in every process and every version to come.
struct segment_header {
  static constexpr std::uint64_t made = 0x31676573'74727473;  ///< "strtseg1" in memory
  static constexpr std::uint32_t this_version = 1;

  std::atomic<std::uint64_t> mark;  ///< `made` when all below is written; 0 before
  std::uint32_t version;            ///< of what follows the mark
  std::uint32_t header_bytes;       ///< from here to the payload
  std::uint64_t bytes;              ///< of the whole object
  std::uint64_t payload_bytes;      ///< as asked for
  std::uint64_t address;            ///< where this header is in every process
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free && sizeof(segment_header) == 40);

struct segment_request {
  segment_kind kind = segment_kind::pageable;
  std::size_t bytes = 0;
  std::size_t alignment = 1;  ///< a power of two
  const char* name = "";      ///< of a named object, valid; of others a label for tools
  bool reserve = true;        ///< take the memory now; else a later touch may be a signal
  bool in_children = true;    ///< children of fork() have it too; else they have nothing there
};

/// Who refused a segment.
enum class segment_refusal : std::uint8_t {
  none,
  too_large,      ///< no address space holds it
  machine,        ///< there is not so much memory for this process; `free` says how much there is
  file_system,    ///< there is not so much where shared memory lives; `free` says how much there is
  os,             ///< see the error
  no_segment,     ///< the object was not made here, or is not finished
  other_version,  ///< made by a version that lays segments out differently
};

struct segment {
  void* payload = nullptr;
  std::size_t bytes = 0;          ///< of the whole, rounded
  std::size_t payload_bytes = 0;  ///< as asked for
  int descriptor = -1;            ///< of a sealed object
  segment_refusal refusal = segment_refusal::none;
  os_error error{};        ///< what the OS said
  std::uint64_t free = 0;  ///< bytes there are, when that is the reason
  bool locked = false;     ///< ism without large pages: locked in RAM instead
};

/// "/" and 1 … 240 printable characters without another "/", not "/." nor "/..".
[[nodiscard]] bool is_segment_name(std::string_view name) noexcept;

/// Bytes of the whole segment for a request, or 0 when there is none so large.
[[nodiscard]] std::size_t segment_bytes_for(const segment_request& wanted) noexcept;

/// Makes a segment of zeros. Ism is large pages, or where they are refused (the error then says why) ordinary ones that
/// are locked in RAM. When refused nothing is left: no name, no id, no memory, no lock.
[[nodiscard]] segment make_segment(const segment_request& wanted) noexcept;

/// Gives a segment up; a name stays, see platform. When refused, it stays mapped.
[[nodiscard]] os_error give_segment(segment_kind kind, void* payload, std::size_t bytes, bool locked) noexcept;

/// Closes the descriptor of a sealed object, which is then in the mappings alone.
void close_segment(int descriptor) noexcept;

/// Takes a name away. ENOENT when there is none any more.
[[nodiscard]] os_error remove_segment(const char* name) noexcept;

/// Maps a named object at the address its header records. Refused with EEXIST when something else is there.
[[nodiscard]] segment open_segment(const char* name) noexcept;

}  // namespace strata::mem
