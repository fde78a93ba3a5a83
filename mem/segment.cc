// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <new>
#include <string_view>

module strata.mem:segment.impl;

import :budget;
import :bytes;
import :lock_ledger;
import :page_run;
import :segment;

import strata.platform;

namespace strata::mem {

namespace {

segment refused_by(os_error error) noexcept { return {.refusal = segment_refusal::os, .error = error}; }

platform::segment_kind platform_kind(segment_kind kind) noexcept {
  switch (kind) {
    case segment_kind::ism:
      return platform::segment_kind::ism;
    case segment_kind::dism:
      return platform::segment_kind::dism;
    default:
      return platform::segment_kind::pageable;
  }
}

/// The page a segment consists of, as far as sizes go.
std::size_t page_for(segment_kind kind) noexcept {
  return kind == segment_kind::ism ? std::max(large_page_size(), page_bytes()) : page_bytes();
}

/// Whether the machine, or this process's container, has less than that; `free` is then what it has.
bool machine_lacks(std::size_t bytes, std::uint64_t& free) noexcept {
  free = measure_headroom().at_once;  // 0: not known
  return free != 0 && bytes > free;
}

segment make_private(const segment_request& wanted, std::size_t bytes) noexcept {
  const std::size_t page = page_for(wanted.kind);
  const std::size_t alignment = std::max(wanted.alignment, page);
  segment made{.bytes = bytes, .payload_bytes = wanted.bytes};
  std::uint64_t lacking = 0;
  platform::mapping got;
  if (wanted.kind == segment_kind::ism) {
    got = platform::attach_private(bytes, platform::segment_kind::ism, page, alignment);
    made.payload = got.base;
    if (got.base != nullptr) return made;
    made.error = got.error;  // why it is not in large pages
    made.locked = true;
  }
  // Asked here and not before: large pages of a pool are in use already, as far as the machine's figures go.
  if (machine_lacks(bytes, lacking)) {
    return {.refusal = segment_refusal::machine, .error = made.error, .free = lacking};
  }
  // What ism promises beside large pages is that it is never paged out: a lock does that too.
  const platform::segment_kind kind = made.locked ? platform::segment_kind::pageable : platform_kind(wanted.kind);
  got = platform::attach_private(bytes, kind, page_bytes(), alignment);
  if (got.base == nullptr) return refused_by(got.error);
  os_error refused{};
  if (made.locked) {
    refused = lock_ledger::of_process().lock(got.base, bytes, lock_time::now);
  } else if (wanted.reserve) {
    refused = platform::prefault(got.base, bytes);
  }
  if (refused.failed()) {
    static_cast<void>(platform::detach(got.base));
    return refused_by(refused);
  }
  made.payload = got.base;
  return made;
}

/// Size, memory, header and seal of an object that was just made. Its mapping starts with the header.
segment furnish(int descriptor, const segment_request& wanted, std::size_t bytes) noexcept {
  if (const std::size_t room = platform::room_of(descriptor); room < bytes)
    return {.refusal = segment_refusal::file_system, .error = {"fstatvfs", ENOSPC}, .free = room};
  if (const os_error refused = platform::resize(descriptor, bytes); refused.failed()) return refused_by(refused);
  // The header at least is written at once, by us.
  if (const os_error refused = platform::reserve_memory(descriptor, wanted.reserve ? bytes : page_bytes());
      refused.failed()) {
    if (refused.code != ENOSPC) return refused_by(refused);
    return {.refusal = segment_refusal::file_system, .error = refused, .free = platform::room_of(descriptor)};
  }
  if (wanted.kind == segment_kind::sealed) {
    if (const os_error refused = platform::seal_size(descriptor); refused.failed()) return refused_by(refused);
  }
  const std::size_t alignment = std::max(wanted.alignment, page_bytes());
  const platform::mapping got = platform::map_object(descriptor, bytes, alignment, page_bytes());
  if (got.base == nullptr) return refused_by(got.error);
  auto* const header = ::new (got.base) segment_header{.mark = 0,
                                                       .version = segment_header::this_version,
                                                       .header_bytes = static_cast<std::uint32_t>(page_bytes()),
                                                       .bytes = bytes,
                                                       .payload_bytes = wanted.bytes,
                                                       .address = address(got.base)};
  header->mark.store(segment_header::made, std::memory_order_release);
  return {.payload = at<void>(got.base, static_cast<std::ptrdiff_t>(page_bytes())),
          .bytes = bytes,
          .payload_bytes = wanted.bytes,
          .descriptor = descriptor};
}

segment make_object(const segment_request& wanted, std::size_t bytes) noexcept {
  if (std::uint64_t free = 0; machine_lacks(bytes, free)) return {.refusal = segment_refusal::machine, .free = free};
  const bool named = wanted.kind == segment_kind::named;
  const platform::shared_object object =
      named ? platform::create_named(wanted.name) : platform::create_unnamed(wanted.name);
  if (object.descriptor < 0) return refused_by(object.error);
  segment made = furnish(object.descriptor, wanted, bytes);
  if (named && made.payload == nullptr) static_cast<void>(platform::unlink_named(wanted.name));
  if (named || made.payload == nullptr) {
    platform::close_object(object.descriptor);
    made.descriptor = -1;
  }
  return made;
}

/// The header of an object, if it is one of ours and finished.
segment_refusal look_at(int descriptor, std::size_t bytes, std::uint64_t& address, std::uint64_t& payload,
                        os_error& error) noexcept {
  if (bytes < page_bytes() || bytes % page_bytes() != 0) return segment_refusal::no_segment;
  const platform::mapping first = platform::map_object(descriptor, page_bytes(), page_bytes(), 0);
  if (first.base == nullptr) return error = first.error, segment_refusal::os;
  const auto* const header = static_cast<const segment_header*>(first.base);
  segment_refusal found = segment_refusal::none;
  if (header->mark.load(std::memory_order_acquire) != segment_header::made) {
    found = segment_refusal::no_segment;
  } else if (header->version != segment_header::this_version || header->header_bytes != page_bytes()) {
    found = segment_refusal::other_version;
  } else if (header->bytes != bytes || header->payload_bytes > bytes - page_bytes() || header->address == 0 ||
             header->address % page_bytes() != 0) {
    found = segment_refusal::no_segment;  // what it says of itself is not so
  }
  address = header->address;
  payload = header->payload_bytes;
  static_cast<void>(platform::unmap(first.base, page_bytes()));
  return found;
}

segment open_object(int descriptor) noexcept {
  const platform::object_size size = platform::size_of(descriptor);
  if (size.error.failed()) return refused_by(size.error);
  std::uint64_t where = 0;
  std::uint64_t payload = 0;
  segment opened{.bytes = size.bytes};
  opened.refusal = look_at(descriptor, size.bytes, where, payload, opened.error);
  if (opened.refusal != segment_refusal::none) return opened;
  const platform::mapping got =
      platform::map_object_at(descriptor, size.bytes, reinterpret_cast<void*>(static_cast<std::uintptr_t>(where)));
  if (got.base == nullptr) return refused_by(got.error);
  opened.payload = at<void>(got.base, static_cast<std::ptrdiff_t>(page_bytes()));
  opened.payload_bytes = static_cast<std::size_t>(payload);
  return opened;
}

/// Hides a segment from children, or gives it back.
segment hidden(const segment_request& wanted, const segment& made) noexcept {
  const bool object = is_object(wanted.kind);
  void* const base = object ? at<void>(made.payload, -static_cast<std::ptrdiff_t>(page_bytes())) : made.payload;
  const os_error refused = expose(base, made.bytes, exposure::not_in_child);
  if (!refused.failed()) return made;
  static_cast<void>(give_segment(wanted.kind, made.payload, made.bytes, made.locked));
  if (made.descriptor >= 0) close_segment(made.descriptor);
  if (wanted.kind == segment_kind::named) static_cast<void>(remove_segment(wanted.name));
  return refused_by(refused);
}

}  // namespace

bool is_segment_name(std::string_view name) noexcept {
  if (name.size() < 2 || name.size() > 241 || name.front() != '/' || name == "/." || name == "/..") return false;
  return std::all_of(name.begin() + 1, name.end(), [](char c) { return c > ' ' && c <= '~' && c != '/'; });
}

std::size_t segment_bytes_for(const segment_request& wanted) noexcept {
  std::size_t bytes = std::max<std::size_t>(wanted.bytes, 1);
  if (is_object(wanted.kind) && !checked_add(bytes, page_bytes(), bytes)) return 0;
  if (!checked_round_up(bytes, page_for(wanted.kind), bytes)) return 0;
  return bytes <= max_object ? bytes : 0;
}

segment make_segment(const segment_request& wanted) noexcept {
  const std::size_t bytes = segment_bytes_for(wanted);
  if (bytes == 0 || wanted.alignment > max_run_alignment) return {.refusal = segment_refusal::too_large};
  const segment made = is_object(wanted.kind) ? make_object(wanted, bytes) : make_private(wanted, bytes);
  return made.payload == nullptr || wanted.in_children ? made : hidden(wanted, made);
}

os_error give_segment(segment_kind kind, void* payload, std::size_t bytes, bool locked) noexcept {
  if (is_object(kind)) return platform::unmap(at<void>(payload, -static_cast<std::ptrdiff_t>(page_bytes())), bytes);
  if (locked) lock_ledger::of_process().unlock(payload, bytes);
  return platform::detach(payload);
}

void close_segment(int descriptor) noexcept { platform::close_object(descriptor); }

os_error remove_segment(const char* name) noexcept { return platform::unlink_named(name); }

segment open_segment(const char* name) noexcept {
  const platform::shared_object object = platform::open_named(name);
  if (object.descriptor < 0) return refused_by(object.error);
  segment opened = open_object(object.descriptor);
  platform::close_object(object.descriptor);
  return opened;
}

}  // namespace strata::mem
