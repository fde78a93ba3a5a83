// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <optional>

module strata.mem:page_run.impl;

import :bytes;
import :page_run;

import strata.platform;

namespace strata::mem {

std::size_t page_bytes() noexcept { return platform::page_size(); }

std::size_t run_bytes_for(std::size_t bytes) noexcept {
  std::size_t rounded = 0;
  const std::size_t wanted = std::max<std::size_t>(bytes, 1);
  return checked_round_up(wanted, platform::page_size(), rounded) && rounded <= max_object ? rounded : 0;
}

page_run_result map_run(std::size_t bytes, std::size_t alignment, const page_run_options& options) noexcept {
  const std::size_t size = run_bytes_for(bytes);
  if (size == 0 || alignment > max_run_alignment) return {{}, {"mmap", ENOMEM}};
  const platform::mapping mapped = platform::map(size, std::max(alignment, platform::page_size()));
  if (mapped.base == nullptr) return {{}, mapped.error};
  const page_run run{mapped.base, size};
  if (options.label != nullptr) (void)platform::name(run.base, run.bytes, options.label);
  if (options.prefault) {
    if (const os_error error = platform::prefault(run.base, run.bytes); error.failed()) {
      // Freshly mapped and whole: nothing to split, so this is not refused.
      (void)platform::unmap(run.base, run.bytes);
      return {{}, error};
    }
  }
  return {run, {}};
}

os_error unmap_run(page_run run) noexcept {
  const os_error error = platform::unmap(run.base, run.bytes);
  if (error.failed()) (void)platform::give_back(run.base, run.bytes);
  return error;
}

std::optional<std::size_t> resident_in(page_run run) noexcept {
  platform::backing found;
  if (platform::backing_of(run.base, run.bytes, found).failed()) return std::nullopt;
  return static_cast<std::size_t>(found.resident);
}

void stranded_runs::add(page_run run) noexcept {
  auto* const added = static_cast<node*>(run.base);
  added->next = head_;
  added->bytes = run.bytes;
  head_ = added;
  bytes_ += run.bytes;
}

std::size_t stranded_runs::retry() noexcept {
  std::size_t freed = 0;
  while (head_ != nullptr) {
    const node tried = *head_;
    if (platform::unmap(head_, tried.bytes).failed()) break;
    head_ = tried.next;
    freed += tried.bytes;
  }
  bytes_ -= freed;
  return freed;
}

}  // namespace strata::mem
