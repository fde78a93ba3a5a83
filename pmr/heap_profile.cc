// SPDX-License-Identifier: Apache-2.0
module;
#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <iterator>
#include <span>
#include <string_view>

module strata.pmr:heap_profile.impl;

import :call_stack;
import :gzip_stream;
import :heap_profile;
import :profile_source;
import :protobuf_message;

import strata.mem;

namespace strata::pmr {

namespace {

// The numbers of fields in github.com/google/pprof/proto/profile.proto.
namespace profile {
constexpr unsigned sample_type = 1, sample = 2, mapping = 3, location = 4, function = 5, string_table = 6,
                   drop_frames = 7, time_nanos = 9, period_type = 11, period = 12, default_sample_type = 14;
}
namespace value_type {
constexpr unsigned type = 1, unit = 2;
}
namespace sample {
constexpr unsigned location_id = 1, value = 2, label = 3;
}
namespace label {
constexpr unsigned key = 1, str = 2;
}
namespace mapping {
constexpr unsigned id = 1, memory_start = 2, memory_limit = 3, file_offset = 4, filename = 5, build_id = 6,
                   has_functions = 7;
}
namespace location {
constexpr unsigned id = 1, mapping_id = 2, address = 3, line = 4;
}
namespace line {
constexpr unsigned function_id = 1;
}
namespace function {
constexpr unsigned id = 1, name = 2, system_name = 3;
}

// The first strings of every profile, by number.
enum text : std::uint64_t {
  nothing,
  alloc_objects,
  alloc_space,
  inuse_objects,
  inuse_space,
  count,
  bytes,
  space,
  resource,
  layer,
  own_frames,
};
constexpr std::string_view kTexts[] = {
    "",
    "alloc_objects",
    "alloc_space",
    "inuse_objects",
    "inuse_space",
    "count",
    "bytes",
    "space",
    "resource",
    "layer",
    // What lies between the caller and the layer, for who names functions.
    "std::pmr::memory_resource::allocate.*|strata::pmr::(tracking_adaptor|direct_layer|stack).*",
};

class profile_writer {
 public:
  profile_writer(std::FILE* out, bool functions) noexcept : to_(out), functions_(functions) {}

  void write_head(std::size_t period) noexcept;
  void write_images() noexcept;
  void write_samples(const profile_source& of) noexcept;
  [[nodiscard]] mem::os_error finish() noexcept { return to_.finish(); }

 private:
  struct range {
    std::uintptr_t start;
    std::uintptr_t limit;
  };

  void put(unsigned field, const protobuf_message& what) noexcept {
    protobuf_message head;
    head.head(field, what.bytes().size());
    to_.write(head.bytes());
    to_.write(what.bytes());
  }
  void put_number(unsigned field, std::uint64_t value) noexcept {
    protobuf_message whole;
    whole.number(field, value);
    to_.write(whole.bytes());
  }
  void put_value_type(unsigned field, text type, text unit) noexcept {
    protobuf_message what;
    what.number(value_type::type, type);
    what.number(value_type::unit, unit);
    put(field, what);
  }
  // Returns the string's number.
  std::uint64_t put_text(std::string_view what) noexcept {
    protobuf_message head;
    head.head(profile::string_table, what.size());
    to_.write(head.bytes());
    to_.write(what);
    return texts_++;
  }
  [[nodiscard]] std::uint64_t image_of(std::uintptr_t address) const noexcept;
  [[nodiscard]] std::uint64_t location_of(const void* return_address) noexcept;

  gzip_stream to_;
  const bool functions_;
  std::uint64_t texts_ = 0;
  mem::address_counts written_;    ///< locations
  std::array<range, 512> images_;  ///< by number less one; code in those beyond is of none
  std::size_t image_count_ = 0;
};

void profile_writer::write_head(std::size_t period) noexcept {
  for (const std::string_view each : kTexts) put_text(each);
  put_value_type(profile::sample_type, alloc_objects, count);
  put_value_type(profile::sample_type, alloc_space, bytes);
  put_value_type(profile::sample_type, inuse_objects, count);
  put_value_type(profile::sample_type, inuse_space, bytes);
  put_number(profile::default_sample_type, inuse_space);
  put_value_type(profile::period_type, space, bytes);
  put_number(profile::period, period);
  put_number(profile::drop_frames, own_frames);
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  put_number(profile::time_nanos,
             static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count()));
}

// One at a time, so that the loader is not kept waiting for a file.
void profile_writer::write_images() noexcept {
  mem::image each;
  for (; image_count_ < images_.size() && mem::image_at(image_count_, each); ++image_count_) {
    images_[image_count_] = {each.start, each.limit};
    std::array<char, 2 * mem::image::longest_build_id> build_id;
    std::size_t digits = 0;
    for (std::size_t i = 0; i < each.build_id_bytes; ++i) {
      build_id[digits++] = "0123456789abcdef"[each.build_id[i] / 16];
      build_id[digits++] = "0123456789abcdef"[each.build_id[i] % 16];
    }
    protobuf_message what;
    what.number(mapping::id, image_count_ + 1);
    what.number(mapping::memory_start, each.start);
    what.number(mapping::memory_limit, each.limit);
    what.number(mapping::file_offset, each.file_offset);
    what.number(mapping::filename, put_text(each.path.data()));
    if (digits != 0) what.number(mapping::build_id, put_text({build_id.data(), digits}));
    if (functions_) what.number(mapping::has_functions, 1);
    put(profile::mapping, what);
  }
}

std::uint64_t profile_writer::image_of(std::uintptr_t address) const noexcept {
  for (std::size_t i = 0; i < image_count_; ++i) {
    if (address >= images_[i].start && address < images_[i].limit) return i + 1;
  }
  return 0;
}

// The address itself is the number, and the function's; what is told of it is written before it is used first.
std::uint64_t profile_writer::location_of(const void* return_address) noexcept {
  const std::uintptr_t call = mem::address(return_address) - 1;
  if (call == 0 || written_.count(call) != 0) return call;
  if (const mem::os_error refused = written_.prepare(1); refused.failed()) {
    to_.refuse(refused);
    return call;
  }
  written_.put(call, 1);
  protobuf_message what;
  what.number(location::id, call);
  if (const std::uint64_t image = image_of(call); image != 0) what.number(location::mapping_id, image);
  what.number(location::address, call);
  std::array<char, 1024> name;
  if (functions_ && name_function(return_address, name)) {
    const std::uint64_t named = put_text(name.data());
    protobuf_message it;
    it.number(function::id, call);
    it.number(function::name, named);
    it.number(function::system_name, named);
    put(profile::function, it);
    protobuf_message here;
    here.number(line::function_id, call);
    what.message(location::line, here);
  }
  put(profile::location, what);
  return call;
}

void profile_writer::write_samples(const profile_source& of) noexcept {
  const auto name_label = [](text key, std::uint64_t value) {
    protobuf_message what;
    what.number(label::key, key);
    what.number(label::str, value);
    return what;
  };
  const protobuf_message whose = name_label(resource, put_text(of.profiled_resource()));
  const protobuf_message which = name_label(layer, put_text(of.profiled_layer()));
  for (std::size_t i = 0; i < of.places(); ++i) {
    const profiled_place place = of.place(i);
    std::array<std::uint64_t, max_stack_depth> stack;
    std::size_t depth = 0;
    for (const void* const frame : place.stack.first(std::min(place.stack.size(), stack.size()))) {
      if (const std::uint64_t at = location_of(frame); at != 0) stack[depth++] = at;
    }
    const std::array<std::uint64_t, 4> values{place.allocations, place.allocated, place.live_blocks, place.live};
    protobuf_message what;
    what.numbers(sample::location_id, std::span(stack).first(depth));
    what.numbers(sample::value, values);
    what.message(sample::label, whose);
    what.message(sample::label, which);
    put(profile::sample, what);
  }
}

}  // namespace

mem::os_error write_heap_profile(std::FILE* out, std::span<const profile_source* const> sources,
                                 const heap_profile_options& options) noexcept {
  profile_writer profile(out, options.functions);
  std::size_t period = 1;
  for (const profile_source* const each : sources) period = std::max(period, each->sampling_period());
  profile.write_head(period);
  profile.write_images();
  for (const profile_source* const each : sources) profile.write_samples(*each);
  return profile.finish();
}

}  // namespace strata::pmr
