// SPDX-License-Identifier: Apache-2.0
module;
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <memory_resource>
#include <mutex>
#include <new>
#include <span>
#include <string_view>
#include <utility>

#include "absl/functional/function_ref.h"

module cache_server:store.impl;

import :command;
import :item;
import :shard;
import :store;

namespace cache_server {

store::store(std::pmr::memory_resource* items, std::pmr::memory_resource* tables, const options& options)
    : options_(options), items_(items), tables_(tables) {
  shards_ = static_cast<shard*>(tables_->allocate(options_.shards * sizeof(shard), alignof(shard)));
  std::uninitialized_default_construct_n(shards_, options_.shards);
  for (shard& s : std::span(shards_, options_.shards)) {
    s.resize(shard::first_buckets, tables_);
    if (s.size == 0) throw std::bad_alloc();
  }
}

store::~store() {
  clear();
  for (shard& s : std::span(shards_, options_.shards)) {
    tables_->deallocate(s.buckets, s.size * sizeof(item*), alignof(item*));
  }
  std::destroy_n(shards_, options_.shards);
  tables_->deallocate(shards_, options_.shards * sizeof(shard), alignof(shard));
}

item* store::make(std::string_view key, std::uint32_t flags, std::uint32_t expires, std::uint64_t value_bytes) {
  if (value_bytes > options_.largest_value) return nullptr;
  const auto bytes = static_cast<std::size_t>(value_bytes);
  void* place = nullptr;
  try {
    place = items_->allocate(item::bytes_for(key.size(), bytes), alignof(item));
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
  item* const made = ::new (place) item{.expires = expires,
                                        .flags = flags,
                                        .value_bytes = static_cast<std::uint32_t>(bytes),
                                        .key_bytes = static_cast<std::uint8_t>(key.size())};
  std::memcpy(made->text(), key.data(), key.size());
  return made;
}

void store::drop(item* made) noexcept {
  if (made != nullptr) items_->deallocate(made, made->bytes(), alignof(item));
}

void store::end_all(item* first) noexcept {
  while (first != nullptr) drop(std::exchange(first, first->next));
}

stored store::put(verb how, item* made, std::uint64_t unique, std::uint32_t now) {
  if (how == verb::append || how == verb::prepend) return join(how, made, now);
  const std::size_t hash = hash_of(made->key());
  shard& s = shard_of(hash);
  item* over = nullptr;
  item* replaced = nullptr;
  auto outcome = stored::stored;
  {
    const std::lock_guard held(s.lock);
    ++s.figures.sets;
    item** const at = s.find_valid(made->key(), hash, now, over);
    const bool is_there = *at != nullptr;
    if (how == verb::cas) {
      outcome = !is_there ? stored::not_found : (*at)->unique != unique ? stored::exists : stored::stored;
      ++(outcome == stored::stored      ? s.figures.cas_hits
         : outcome == stored::not_found ? s.figures.cas_misses
                                        : s.figures.cas_badval);
    } else if ((how == verb::add && is_there) || (how == verb::replace && !is_there)) {
      outcome = stored::not_stored;
      if (is_there) s.use(*at);
    }
    if (outcome == stored::stored) {
      if (is_there) replaced = s.take(at);
      made->unique = next_unique_.fetch_add(1, std::memory_order_relaxed);
      s.put(made, s.find(made->key(), hash));
      s.fit(tables_);
    }
  }
  drop(over);
  drop(replaced);
  if (outcome != stored::stored) drop(made);
  return outcome;
}

// Memory is asked for while no lock is held: who is short of it evicts. What was found before may be another item then.
stored store::join(verb how, item* made, std::uint32_t now) {
  const std::size_t hash = hash_of(made->key());
  shard& s = shard_of(hash);
  for (;;) {
    std::uint64_t unique = 0;
    std::size_t before = 0;
    std::uint32_t flags = 0;
    std::uint32_t expires = 0;
    item* over = nullptr;
    {
      const std::lock_guard held(s.lock);
      if (const item* const found = *s.find_valid(made->key(), hash, now, over); found != nullptr) {
        unique = found->unique;
        before = found->value_bytes;
        flags = found->flags;
        expires = found->expires;
      }
    }
    drop(over);
    if (unique == 0) {
      drop(made);
      return stored::not_stored;
    }
    const std::size_t bytes = before + made->value_bytes;
    item* const both = make(made->key(), flags, expires, bytes);
    if (both == nullptr) {
      drop(made);
      return bytes > options_.largest_value ? stored::too_large : stored::no_memory;
    }
    item* replaced = nullptr;
    {
      const std::lock_guard held(s.lock);
      if (item** const at = s.find(made->key(), hash); *at != nullptr && (*at)->unique == unique) {
        const std::string_view first = how == verb::append ? (*at)->value() : made->value();
        const std::string_view second = how == verb::append ? made->value() : (*at)->value();
        char* const value = both->wire().data();
        std::memcpy(value, first.data(), first.size());
        std::memcpy(value + first.size(), second.data(), second.size());
        std::memcpy(value + bytes, "\r\n", 2);
        replaced = s.take(at);
        both->unique = next_unique_.fetch_add(1, std::memory_order_relaxed);
        s.put(both, s.find(both->key(), hash));
        ++s.figures.sets;
      }
    }
    if (replaced != nullptr) {
      drop(replaced);
      drop(made);
      return stored::stored;
    }
    drop(both);
  }
}

bool store::get(std::string_view key, std::uint32_t now, absl::FunctionRef<void(const item&)> visitor) {
  const std::size_t hash = hash_of(key);
  shard& s = shard_of(hash);
  item* over = nullptr;
  bool found = false;
  {
    const std::lock_guard held(s.lock);
    item* const there = *s.find_valid(key, hash, now, over);
    found = there != nullptr;
    ++(found ? s.figures.get_hits : s.figures.get_misses);
    if (found) {
      s.use(there);
      visitor(*there);
    } else {
      s.fit(tables_);
    }
  }
  drop(over);
  return found;
}

bool store::remove(std::string_view key, std::uint32_t now) noexcept {
  const std::size_t hash = hash_of(key);
  shard& s = shard_of(hash);
  item* over = nullptr;
  item* taken = nullptr;
  {
    const std::lock_guard held(s.lock);
    if (item** const at = s.find_valid(key, hash, now, over); *at != nullptr) taken = s.take(at);
    ++(taken != nullptr ? s.figures.delete_hits : s.figures.delete_misses);
    s.fit(tables_);
  }
  drop(over);
  drop(taken);
  return taken != nullptr;
}

bool store::touch(std::string_view key, std::uint32_t expires, std::uint32_t now) noexcept {
  const std::size_t hash = hash_of(key);
  shard& s = shard_of(hash);
  item* over = nullptr;
  bool found = false;
  {
    const std::lock_guard held(s.lock);
    if (item* const there = *s.find_valid(key, hash, now, over); there != nullptr) {
      found = true;
      there->expires = expires;
      s.use(there);
    }
    ++(found ? s.figures.touch_hits : s.figures.touch_misses);
  }
  drop(over);
  return found;
}

}  // namespace cache_server
