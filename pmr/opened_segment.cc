// SPDX-License-Identifier: Apache-2.0
module;
#include <cerrno>
#include <stdexcept>
#include <string>
#include <system_error>

module strata.pmr:opened_segment.impl;

import :opened_segment;

import strata.mem;

namespace strata::pmr {

namespace {

void check_name(const char* object) {
  if (mem::is_segment_name(object)) return;
  throw std::invalid_argument("strata::pmr: \"" + std::string(object) +
                              "\" is no name of an object; it has to be / and then 1 to 240 printable characters "
                              "without another /");
}

[[noreturn]] void fail(int code, const char* object, const char* why) {
  throw std::system_error(code, std::generic_category(), "strata::pmr: segment " + std::string(object) + ' ' + why);
}

[[noreturn]] void fail(const mem::segment& refused, const char* object) {
  if (refused.refusal == mem::segment_refusal::no_segment)
    fail(EINVAL, object, "was not made by segment_resource, or is not finished");
  if (refused.refusal == mem::segment_refusal::other_version)
    fail(ENOTSUP, object, "was made by another version, or with other pages");
  switch (refused.error.code) {
    case ENOENT:
      fail(ENOENT, object, "is not there: nobody has made it, or it was removed");
    case EACCES:
      fail(EACCES, object, "is not allowed to this process");
    case EEXIST:
      fail(EEXIST, object, "cannot have its address here: something else is mapped there");
    default:
      fail(refused.error.code, object, "cannot be opened");
  }
}

}  // namespace

opened_segment::opened_segment(const char* object) {
  check_name(object);
  segment_ = mem::open_segment(object);
  if (segment_.payload == nullptr) fail(segment_, object);
}

opened_segment::~opened_segment() {
  // Whole and a mapping of its own: nothing to split, so this is not refused.
  static_cast<void>(mem::give_segment(mem::segment_kind::named, segment_.payload, segment_.bytes, false));
}

bool remove_segment(const char* object) {
  check_name(object);
  const mem::os_error refused = mem::remove_segment(object);
  if (refused.code == ENOENT) return false;
  if (refused.failed()) fail({.error = refused}, object);
  return true;
}

}  // namespace strata::pmr
