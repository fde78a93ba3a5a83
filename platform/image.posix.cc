// SPDX-License-Identifier: Apache-2.0
module;
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>

module strata.platform:image.posix;

import :error;
import :image;

namespace strata::platform {

namespace {

struct search {
  std::size_t left;  ///< stretches to be passed over
  std::size_t page;
  image* out;
};

void note_path(const char* name, image& out) noexcept {
  out.path = {};
  if (name != nullptr && *name != '\0') {
    std::strncpy(out.path.data(), name, out.path.size() - 1);
    return;
  }
  // The program itself: glibc gives it no name.
  const ssize_t length = ::readlink("/proc/self/exe", out.path.data(), out.path.size() - 1);
  if (length < 0) out.path[0] = '\0';
}

// An entry of a note segment: three words, a name and a description, each filled up to a multiple of four.
struct note {
  std::uint32_t name_bytes;
  std::uint32_t description_bytes;
  std::uint32_t type;
};

void read_notes(const unsigned char* at, std::size_t bytes, image& out) noexcept {
  const auto filled_up = [](std::uint32_t n) { return (std::size_t{n} + 3) / 4 * 4; };
  while (bytes >= sizeof(note)) {
    note head;
    std::memcpy(&head, at, sizeof head);
    const std::size_t name = filled_up(head.name_bytes);
    const std::size_t whole = sizeof head + name + filled_up(head.description_bytes);
    if (whole > bytes) return;
    constexpr std::uint32_t build_id = 3;  // NT_GNU_BUILD_ID
    if (head.type == build_id && head.name_bytes == 4 && std::memcmp(at + sizeof head, "GNU", 4) == 0 &&
        head.description_bytes <= out.build_id.size()) {
      std::copy_n(at + sizeof head + name, head.description_bytes, out.build_id.begin());
      out.build_id_bytes = head.description_bytes;
      return;
    }
    at += whole;
    bytes -= whole;
  }
}

int visit(dl_phdr_info* info, std::size_t /*bytes*/, void* argument) noexcept {
  auto* const wanted = static_cast<search*>(argument);
  const auto base = static_cast<std::uintptr_t>(info->dlpi_addr);
  for (std::size_t i = 0; i < info->dlpi_phnum; ++i) {
    const auto& code = info->dlpi_phdr[i];
    if (code.p_type != PT_LOAD || (code.p_flags & PF_X) == 0) continue;
    if (wanted->left-- != 0) continue;
    image& out = *wanted->out;
    const std::uintptr_t first = base + static_cast<std::uintptr_t>(code.p_vaddr);
    const std::size_t lead = first % wanted->page;
    out.start = first - lead;
    out.limit = (first + static_cast<std::size_t>(code.p_memsz) + wanted->page - 1) / wanted->page * wanted->page;
    out.file_offset = static_cast<std::uint64_t>(code.p_offset) - lead;
    out.build_id_bytes = 0;
    note_path(info->dlpi_name, out);
    for (std::size_t n = 0; n < info->dlpi_phnum && out.build_id_bytes == 0; ++n) {
      const auto& notes = info->dlpi_phdr[n];
      if (notes.p_type != PT_NOTE) continue;
      const auto* const text = reinterpret_cast<const unsigned char*>(base + notes.p_vaddr);
      read_notes(text, static_cast<std::size_t>(notes.p_memsz), out);
    }
    return 1;
  }
  return 0;
}

}  // namespace

bool image_at(std::size_t index, image& out) noexcept {
  search wanted{index, static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)), &out};
  return ::dl_iterate_phdr(&visit, &wanted) != 0;
}

os_error keep_loaded(const void* inside) noexcept {
  Dl_info unused;
  void* map = nullptr;
  if (::dladdr1(inside, &unused, &map, RTLD_DL_LINKMAP) == 0 || map == nullptr) return {"dladdr1", ENOENT};
  const char* const name = static_cast<const link_map*>(map)->l_name;
  if (name == nullptr || *name == '\0') return success;  // the program: glibc gives it no name
  void* const again = ::dlopen(name, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
  if (again == nullptr) return {"dlopen", ENOENT};
  ::dlclose(again);
  return success;
}

}  // namespace strata::platform
