// SPDX-License-Identifier: Apache-2.0
module;
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <memory_resource>
#include <mutex>
#include <thread>
#include <vector>

module bench:published.impl;

import :published;
import :subject;

import strata.pmr;

namespace sp = strata::pmr;

namespace bench {
namespace {

std::uintptr_t page_bytes() {
  static const auto bytes = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  return bytes;
}

struct pages {
  void* base;
  std::size_t bytes;
};

/// The pages that a piece of memory lies on.
pages pages_of(void* p, std::size_t bytes) {
  const auto at = reinterpret_cast<std::uintptr_t>(p);
  const std::uintptr_t first = at & ~(page_bytes() - 1);
  const std::uintptr_t end = (at + bytes + page_bytes() - 1) & ~(page_bytes() - 1);
  return {reinterpret_cast<void*>(first), end - first};
}

std::size_t offset_in(const pages& in, const void* p) {
  return static_cast<std::size_t>(static_cast<const char*>(p) - static_cast<const char*>(in.base));
}

/// Bytes in front of a block: the word, and what its alignment needs besides.
std::size_t front_for(std::size_t alignment) { return std::max(alignment, sizeof(void*)); }

class published_subject final : public subject {
 public:
  [[nodiscard]] std::pmr::memory_resource& memory() noexcept override { return scheme_; }
  void trim() noexcept override { slabs_.get<1>().trim(); }

 private:
  sp::stack<sp::segments, sp::slabs> slabs_{sp::segments{.kind = sp::segment_kind::sealed}, sp::slabs{}};
  published_scheme scheme_{&slabs_};
};

}  // namespace

/// Dead pages, and the thread that unmaps them.
struct published_scheme::graveyard {
  graveyard() {
    dead.reserve(stretch);
    digger = std::thread([this] { dig(); });
  }
  ~graveyard() {
    bury();
    {
      const std::lock_guard held(lock);
      closed = true;
    }
    changed.notify_all();
    digger.join();
  }

  void add(const pages& each) {
    dead.push_back(each);
    if (dead.size() == stretch) bury();
  }

  /// Returns when nothing is mapped any more of what was added.
  void bury() {
    std::unique_lock held(lock);
    full = true;
    changed.notify_all();
    changed.wait(held, [this] { return !full; });
  }

  void dig() {
    std::unique_lock held(lock);
    for (;;) {
      changed.wait(held, [this] { return full || closed; });
      if (!full) return;
      for (const pages& each : dead) ::munmap(each.base, each.bytes);
      dead.clear();
      full = false;
      changed.notify_all();
    }
  }

  std::vector<pages> dead;  // the caller's; the digger's while it is full
  std::mutex lock;
  std::condition_variable changed;
  bool full = false;
  bool closed = false;
  std::thread digger;
};

published_scheme::published_scheme(std::pmr::memory_resource* upstream)
    : upstream_(upstream), dead_(std::make_unique<graveyard>()) {}

published_scheme::~published_scheme() = default;

const char* published_scheme::no_mapping::what() const noexcept { return "its pages cannot be mapped once more"; }

// The whole block, word included, is what is mapped; so the word is as protected as the block.
void* published_scheme::do_allocate(std::size_t bytes, std::size_t alignment) {
  const std::size_t front = front_for(alignment);
  void* const canonical = upstream_->allocate(front + bytes, std::max(alignment, alignof(void*)));
  const pages at = pages_of(canonical, front + bytes);
  void* const shadow = ::mremap(at.base, 0, at.bytes, MREMAP_MAYMOVE);
  if (shadow == MAP_FAILED) {
    upstream_->deallocate(canonical, front + bytes, std::max(alignment, alignof(void*)));
    throw no_mapping();
  }
  char* const block = static_cast<char*>(shadow) + offset_in(at, canonical) + front;
  std::memcpy(block - sizeof(void*), &canonical, sizeof(void*));
  return block;
}

void published_scheme::do_deallocate(void* p, std::size_t bytes, std::size_t alignment) {
  const std::size_t front = front_for(alignment);
  char* const block = static_cast<char*>(p);
  void* canonical = nullptr;
  std::memcpy(&canonical, block - sizeof(void*), sizeof(void*));
  const pages shadow = pages_of(block - front, front + bytes);
  // Refused only where it would split a mapping and there are too many; this is a mapping of its own.
  ::mprotect(shadow.base, shadow.bytes, PROT_NONE);
  upstream_->deallocate(canonical, front + bytes, std::max(alignment, alignof(void*)));
  dead_->add(shadow);
}

std::unique_ptr<subject> open_published() { return std::make_unique<published_subject>(); }

}  // namespace bench
