// SPDX-License-Identifier: Apache-2.0
module;
#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <limits>

module strata.platform:alternate_stack.posix;

import :alternate_stack;
import :error;
import :guard;
import :page;

namespace strata::platform {

alternate_stack::alternate_stack(std::size_t bytes) noexcept {
  const std::size_t page = page_size();
  // What the processor's registers take: newer ones have more than any constant says, so this may be a call.
  constexpr std::size_t kLeast = std::size_t{16} << 10;
  const long told = MINSIGSTKSZ;
  bytes = std::max({bytes, kLeast, static_cast<std::size_t>(std::max(told, 0L))});
  if (bytes > std::numeric_limits<std::size_t>::max() / 2) {
    error_ = {"mmap", ENOMEM};
    return;
  }
  const std::size_t room = (bytes + page - 1) / page * page + page;
  const mapping got = map(room, page);
  if (got.base == nullptr) {
    error_ = got.error;
    return;
  }
  // A guard costs no mapping; there may be many threads.
  if (guard(got.base, page).failed()) error_ = protect(got.base, page, access::none);
  stack_t before{};
  if (!error_.failed()) {
    stack_t ours{};
    ours.ss_sp = static_cast<char*>(got.base) + page;
    ours.ss_size = room - page;
    if (::sigaltstack(&ours, &before) != 0) error_ = {"sigaltstack", errno};
  }
  if (error_.failed()) {
    static_cast<void>(unmap(got.base, room));
    return;
  }
  base_ = got.base;
  mapped_ = room;
  had_none_ = (before.ss_flags & SS_DISABLE) != 0;
  before_ = before.ss_sp;
  before_bytes_ = before.ss_size;
}

alternate_stack::~alternate_stack() {
  if (base_ == nullptr) return;
  stack_t now{};
  if (::sigaltstack(nullptr, &now) != 0 || !holds(now.ss_sp)) return;
  stack_t before{};
  before.ss_flags = had_none_ ? SS_DISABLE : 0;
  before.ss_sp = before_;
  before.ss_size = before_bytes_;
  if (::sigaltstack(&before, nullptr) == 0) static_cast<void>(unmap(base_, mapped_));
}

std::size_t alternate_stack::bytes() const noexcept { return base_ == nullptr ? 0 : mapped_ - page_size(); }

bool alternate_stack::holds(const void* address) const noexcept {
  const auto first = reinterpret_cast<std::uintptr_t>(base_) + page_size();
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  return base_ != nullptr && at >= first && at - first < bytes();
}

}  // namespace strata::platform
