// SPDX-License-Identifier: Apache-2.0
module;
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <limits>
#include <new>
#include <string_view>
#include <utility>

module strata.pmr:gzip_stream.impl;

import :gzip_stream;

import strata.mem;

namespace strata::pmr {

// zlib's state, its own memory behind it.
struct gzip_stream::workshop {
  z_stream stream;
  std::byte* free;
  std::byte* end;
  std::array<Bytef, 16384> compressed;
};

namespace {

// With windows of 15 bits and hashes of 8 + 7: 256 KiB and what zlib keeps beside them (zconf.h).
constexpr std::size_t for_zlib = std::size_t{384} << 10;
constexpr int window_bits = 15 + 16;  // + 16: gzip's head and tail
constexpr int memory_level = 8;

}  // namespace

gzip_stream::gzip_stream(std::FILE* out) noexcept : out_(out) {
  const mem::page_run_result got =
      mem::map_run(sizeof(workshop) + for_zlib, mem::page_bytes(), {.label = "strata: profile"});
  refuse(got.error);
  if (got.error.failed()) return;
  memory_ = got.run;
  work_ = ::new (memory_.base) workshop;
  work_->free = static_cast<std::byte*>(memory_.base) + mem::round_up(sizeof(workshop), 64);
  work_->end = static_cast<std::byte*>(memory_.base) + memory_.bytes;
  work_->stream = {};
  // All is taken at the start and given back with the run.
  work_->stream.zalloc = [](voidpf from, uInt items, uInt size) -> voidpf {
    auto* const work = static_cast<workshop*>(from);
    const std::size_t bytes = mem::round_up(std::size_t{items} * size, 64);
    if (bytes > static_cast<std::size_t>(work->end - work->free)) return Z_NULL;
    return std::exchange(work->free, work->free + bytes);
  };
  work_->stream.zfree = [](voidpf /*from*/, voidpf /*block*/) {};
  work_->stream.opaque = work_;
  if (::deflateInit2(&work_->stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, window_bits, memory_level,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
    refuse({"deflateInit2", ENOMEM});
  }
}

// Should the OS not take it back, it is one run.
gzip_stream::~gzip_stream() {
  if (memory_.base != nullptr) static_cast<void>(mem::unmap_run(memory_));
}

void gzip_stream::deflate(std::string_view bytes, bool last) noexcept {
  if (refused_.failed()) return;
  z_stream& stream = work_->stream;
  // zlib does not write to it, but has no const.
  stream.next_in = const_cast<Bytef*>(reinterpret_cast<const Bytef*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  int answer = Z_OK;
  do {
    stream.next_out = work_->compressed.data();
    stream.avail_out = static_cast<uInt>(work_->compressed.size());
    answer = ::deflate(&stream, last ? Z_FINISH : Z_NO_FLUSH);
    const std::size_t made = work_->compressed.size() - stream.avail_out;
    errno = 0;
    if (std::fwrite(work_->compressed.data(), 1, made, out_) != made) return refuse({"fwrite", errno});
  } while (stream.avail_out == 0 || (last && answer == Z_OK));
}

void gzip_stream::write(std::string_view bytes) noexcept {
  constexpr std::size_t most = std::numeric_limits<uInt>::max();
  for (; !bytes.empty(); bytes.remove_prefix(std::min(most, bytes.size()))) deflate(bytes.substr(0, most), false);
}

mem::os_error gzip_stream::finish() noexcept {
  deflate({}, true);
  errno = 0;
  if (!refused_.failed() && std::fflush(out_) != 0) refuse({"fflush", errno});
  return refused_;
}

}  // namespace strata::pmr
