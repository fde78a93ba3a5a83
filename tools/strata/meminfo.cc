// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

module strata_tools:meminfo.impl;

import :meminfo;

import strata.platform;

namespace strata_tools {
namespace {

namespace platform = strata::platform;

/// The whole of a list that says how long it is; it may grow between two calls.
template <typename T, typename List>
std::vector<T> all_of(const List& list) {
  std::vector<T> found(16);
  for (;;) {
    const std::size_t known = list(std::span<T>(found));
    const bool fits = known <= found.size();
    found.resize(known);
    if (fits) return found;
  }
}

std::string size(std::uint64_t bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= 1024 && unit + 1 < std::size(kUnits); ++unit) value /= 1024;
  return absl::StrFormat("%.*f %s", unit == 0 ? 0 : 1, value, kUnits[unit]);
}

std::string size_or_unknown(std::uint64_t bytes) { return bytes == 0 ? "not told" : size(bytes); }

void line(std::string& to, const std::string& name, const std::string& figure, const std::string& remark = "") {
  absl::StrAppendFormat(&to, "%-28s %14s", name, figure);
  if (!remark.empty()) absl::StrAppend(&to, "  ", remark);
  to += '\n';
}

/// JSON's rules: quotes, backslashes and what cannot be printed are escaped; bytes of UTF-8 stay.
std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      absl::StrAppendFormat(&out, "\\u%04x", static_cast<unsigned>(static_cast<unsigned char>(c)));
    } else {
      out += c;
    }
  }
  return out + '"';
}

/// Abseil, as Debian builds it, has a string_view of its own.
std::string text(const platform::fact_text& fact) { return std::string(fact.view()); }

std::string known_or_null(std::uint64_t figure) { return figure == 0 ? "null" : absl::StrCat(figure); }

std::string list(const std::vector<std::string>& items) { return "[" + absl::StrJoin(items, ", ") + "]"; }

}  // namespace

machine_memory read_machine_memory(const std::string& root) {
  const char* const at = root.c_str();
  machine_memory found;
  found.memory = platform::memory(at);
  found.limit_origin = platform::limit_origin(at).view();
  found.locks = platform::locks(at);
  found.pools = all_of<platform::page_pool>([at](auto out) { return platform::page_pools(out, at); });
  found.modes = all_of<platform::large_page_mode>([at](auto out) { return platform::large_page_modes(out, at); });
  found.file_systems =
      all_of<platform::memory_file_system>([at](auto out) { return platform::memory_file_systems(out, at); });
  return found;
}

std::string as_table(const machine_memory& found) {
  const platform::memory_status& m = found.memory;
  std::string out;
  line(out, "installed", size_or_unknown(m.installed));
  line(out, "managed by the system", size_or_unknown(m.managed));
  line(out, "limit of this process", size_or_unknown(m.limit), "set by: " + found.limit_origin);
  if (m.soft_limit < m.limit) line(out, "slowed down above", size(m.soft_limit));
  line(out, "available to it", size(m.available));
  line(out, "locked, all processes", size(m.locked));
  line(out, "locked, this process", size(found.locks.locked));
  line(out, "may lock", found.locks.limit == platform::lock_status::unlimited ? "unlimited" : size(found.locks.limit),
       found.locks.limit == platform::lock_status::unlimited ? std::string()
                                                             : absl::StrCat("to have more: ", platform::lock_remedy()));
  if (m.cache) {
    line(out, "ZFS cache", size(m.cache->size),
         absl::StrCat("between ", size(m.cache->minimum), " and ", size(m.cache->maximum), "; not in available"));
  }
  out += '\n';
  for (const platform::page_pool& pool : found.pools) {
    line(out, "pages of", size(pool.page),
         pool.is_pool ? absl::StrCat("pool of ", pool.total, ", free ", pool.free, ", reserved ", pool.reserved) : "");
  }
  for (const platform::large_page_mode& mode : found.modes)
    line(out, absl::StrCat("large pages, ", text(mode.choice)), text(mode.mode));
  if (!found.file_systems.empty()) out += '\n';
  for (const platform::memory_file_system& fs : found.file_systems) {
    line(out, "files in memory", fs.size == 0 ? "no bound" : size(fs.size),
         absl::StrCat("used ", size(fs.used), " at ", text(fs.path)));
  }
  return out;
}

std::string as_json(const machine_memory& found) {
  const platform::memory_status& m = found.memory;
  std::vector<std::string> pools;
  for (const platform::page_pool& pool : found.pools) {
    pools.push_back(pool.is_pool ? absl::StrFormat(R"({"page": %d, "total": %d, "free": %d, "reserved": %d})",
                                                   pool.page, pool.total, pool.free, pool.reserved)
                                 : absl::StrFormat(R"({"page": %d})", pool.page));
  }
  std::vector<std::string> modes;
  for (const platform::large_page_mode& mode : found.modes)
    modes.push_back(absl::StrCat(in_quotes(mode.choice.view()), ": ", in_quotes(mode.mode.view())));
  std::vector<std::string> file_systems;
  for (const platform::memory_file_system& fs : found.file_systems) {
    file_systems.push_back(absl::StrCat("{\"path\": ", in_quotes(fs.path.view()),
                                        ", \"size\": ", known_or_null(fs.size), ", \"used\": ", fs.used, "}"));
  }
  const bool unlimited = found.locks.limit == platform::lock_status::unlimited;
  std::string cache = "null";
  if (m.cache) {
    cache = absl::StrFormat(R"({"size": %d, "minimum": %d, "maximum": %d})", m.cache->size, m.cache->minimum,
                            m.cache->maximum);
  }
  return absl::StrCat("{\n",                                                         //
                      "  \"installed\": ", known_or_null(m.installed), ",\n",        //
                      "  \"managed\": ", known_or_null(m.managed), ",\n",            //
                      "  \"limit\": ", known_or_null(m.limit), ",\n",                //
                      "  \"limit_origin\": ", in_quotes(found.limit_origin), ",\n",  //
                      "  \"soft_limit\": ", known_or_null(m.soft_limit), ",\n",      //
                      "  \"available\": ", m.available, ",\n",                       //
                      "  \"locked\": ", m.locked, ",\n",                             //
                      "  \"locked_by_this_process\": ", found.locks.locked, ",\n",   //
                      "  \"may_lock\": ", unlimited ? "null" : absl::StrCat(found.locks.limit), ",\n",
                      "  \"zfs_cache\": ", cache, ",\n",                                //
                      "  \"pages\": ", list(pools), ",\n",                              //
                      "  \"large_page_modes\": {", absl::StrJoin(modes, ", "), "},\n",  //
                      "  \"file_systems\": ", list(file_systems), "\n}\n");
}

}  // namespace strata_tools
