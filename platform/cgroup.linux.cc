// SPDX-License-Identifier: Apache-2.0
module;
#include <cstddef>
#include <string_view>

module strata.platform:cgroup.linux;

import :cgroup;
import :os_file;

namespace strata::platform {
namespace {

bool lists(std::string_view names, std::string_view wanted) noexcept {
  while (!names.empty()) {
    if (cut(names, ',') == wanted) return true;
  }
  return false;
}

/// The path of the own group as /proc/self/cgroup tells it ("/" when it does not).
path own_group(const char* root, std::string_view controller) noexcept {
  line_reader file(path(root).append("/proc/self/cgroup"));
  for (std::string_view line; file.next(line);) {
    const std::string_view number = cut(line, ':');
    const std::string_view controllers = cut(line, ':');
    const bool wanted = controller.empty() ? number == "0" && controllers.empty() : lists(controllers, controller);
    if (wanted && line.starts_with('/')) return path(line);
  }
  return path("/");
}

/// mountinfo writes space, tab, newline and backslash as \040 and so on.
path unescaped(std::string_view text) noexcept {
  const auto octal = [](char c) { return c >= '0' && c <= '7'; };
  path plain("");
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '\\' && i + 3 < text.size() && octal(text[i + 1]) && octal(text[i + 2]) && octal(text[i + 3])) {
      c = static_cast<char>(((text[i + 1] - '0') << 6) | ((text[i + 2] - '0') << 3) | (text[i + 3] - '0'));
      i += 3;
    }
    plain.append({&c, 1});
  }
  return plain;
}

/// Whether `own` is `shown` or lies below it; `below` is then the rest: empty, or beginning with '/'.
bool lies_in(std::string_view own, std::string_view shown, std::string_view& below) noexcept {
  if (shown == "/") shown = {};
  if (!own.starts_with(shown)) return false;
  below = own.substr(shown.size());
  if (below == "/") below = {};
  if (!below.empty() && below.front() != '/') return false;
  // A process moved out of its namespace is told "/../other": a path that would leave the mount.
  for (std::string_view rest = below; !rest.empty();) {
    if (cut(rest, '/') == "..") return false;
  }
  return true;
}

}  // namespace

group::group(const char* root, std::string_view controller) noexcept {
  const path own = own_group(root, controller);
  line_reader mounts(path(root).append("/proc/self/mountinfo"));
  for (std::string_view line; mounts.next(line);) consider(root, controller, own.view(), line);
}

void group::consider(const char* root, std::string_view controller, std::string_view own,
                     std::string_view line) noexcept {
  // id parent major:minor root mount-point options [tag[:value]]… - type source super-options
  for (int i = 0; i < 3; ++i) cut(line, ' ');
  const std::string_view shown_field = cut(line, ' ');
  const std::string_view mount_field = cut(line, ' ');
  while (!line.empty() && cut(line, ' ') != "-") continue;
  const std::string_view type = cut(line, ' ');
  cut(line, ' ');
  const bool wanted = controller.empty() ? type == "cgroup2" : type == "cgroup" && lists(line, controller);
  if (!wanted || !shown_field.starts_with('/') || !mount_field.starts_with('/')) return;

  const path shown = unescaped(shown_field);
  if (!shown.fits()) return;
  std::string_view below;
  const bool inside = lies_in(own, shown.view(), below);
  // Any mount is better than none, one that shows the own group better than others, and among these the one that shows
  // most ancestors.
  const bool better = !found_ || (inside && (!inside_ || shown.size() < shown_));
  if (!better) return;
  path directory(root);
  directory.append(unescaped(mount_field).view());
  const std::size_t mount_length = directory.size();
  if (inside) directory.append(below);
  if (!directory.fits()) return;
  found_ = true;
  inside_ = inside;
  shown_ = shown.size();
  mount_length_ = mount_length;
  directory_ = directory;
}

bool group::up() noexcept {
  if (directory_.size() <= mount_length_) return false;
  directory_.shorten(directory_.view().rfind('/'));
  return true;
}

path group::file(std::string_view name) const noexcept {
  path full = directory_;
  full.append("/").append(name);
  return full;
}

}  // namespace strata::platform
