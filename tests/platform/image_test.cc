// SPDX-License-Identifier: Apache-2.0
// Claims:
//  * the stretch a function of the program lies in is told, with the program's path, an offset in that file where the same
//    bytes are, and the build id the linker put there
//  * shared libraries are told too; stretches have whole pages and do not overlap; numbers end
//  * the program and libraries can be kept loaded, what is no code cannot; a loader that refuses is told
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/os_script/os_script.h"

import strata.platform;

namespace {

namespace platform = strata::platform;

std::vector<platform::image> all_images() {
  std::vector<platform::image> all;
  for (platform::image each; platform::image_at(all.size(), each);) all.push_back(each);
  return all;
}

const platform::image* image_of(const std::vector<platform::image>& all, std::uintptr_t address) {
  for (const platform::image& each : all) {
    if (address >= each.start && address < each.limit) return &each;
  }
  return nullptr;
}

TEST(Image, TellsWhereAFunctionComesFrom) {
  const auto all = all_images();
  const auto function = reinterpret_cast<std::uintptr_t>(&all_images);
  const platform::image* const found = image_of(all, function);
  ASSERT_NE(found, nullptr);
  char self[4096] = {};
  ASSERT_GT(::readlink("/proc/self/exe", self, sizeof self - 1), 0);
  EXPECT_STREQ(found->path.data(), self);

  std::ifstream file(self, std::ios::binary);
  file.seekg(static_cast<std::streamoff>(found->file_offset + (function - found->start)));
  char there[16] = {};
  file.read(there, sizeof there);
  EXPECT_EQ(std::memcmp(there, reinterpret_cast<const void*>(function), sizeof there), 0);
}

TEST(Image, TellsTheBuildIdThatTheFileHas) {
  std::size_t with_one = 0;
  for (const platform::image& each : all_images()) {
    if (each.build_id_bytes == 0) continue;
    std::ifstream file(each.path.data(), std::ios::binary);
    if (!file) continue;  // the OS's own page of functions
    ++with_one;
    const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    std::string note("\x03\0\0\0GNU\0", 8);
    note.append(reinterpret_cast<const char*>(each.build_id.data()), each.build_id_bytes);
    EXPECT_NE(text.find(note), std::string::npos) << each.path.data();
  }
  EXPECT_GE(with_one, 1U);  // the C library's, at least
}

TEST(Image, TellsSharedLibraries) {
  const auto all = all_images();
  const auto library = reinterpret_cast<std::uintptr_t>(&::getppid);
  // A function of the C library may be reached through a stub of the program's: what the loader says counts.
  EXPECT_NE(image_of(all, library), nullptr);
  EXPECT_TRUE(std::ranges::any_of(
      all, [](const platform::image& each) { return std::strstr(each.path.data(), "libc.so") != nullptr; }));
}

TEST(Image, HasWholePagesThatDoNotOverlap) {
  auto all = all_images();
  std::ranges::sort(all, {}, &platform::image::start);
  const std::size_t page = platform::page_size();
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(all[i].start % page, 0U);
    EXPECT_EQ(all[i].limit % page, 0U);
    EXPECT_EQ(all[i].file_offset % page, 0U);
    EXPECT_LT(all[i].start, all[i].limit);
    if (i != 0) EXPECT_LE(all[i - 1].limit, all[i].start);
  }
}

TEST(Image, NumbersEnd) {
  const std::size_t count = all_images().size();
  platform::image each;
  EXPECT_TRUE(platform::image_at(count - 1, each));
  EXPECT_FALSE(platform::image_at(count, each));
  EXPECT_FALSE(platform::image_at(count + 1000, each));
}

// What is closed without it goes, and what is kept stays: tests/pmr/unload_test.cc.
TEST(Image, KeepsTheProgramAndLibrariesLoaded) {
  strata::test::os_script script;
  EXPECT_FALSE(platform::keep_loaded(reinterpret_cast<const void*>(&all_images)).failed());
  EXPECT_EQ(script.calls(strata::test::os_call::dlopen), 0U) << "the program stays anyway";
  const void* const in_library = ::dlsym(RTLD_NEXT, "strtoul");
  ASSERT_NE(in_library, nullptr);
  EXPECT_FALSE(platform::keep_loaded(in_library).failed());
}

TEST(Image, TellsWhatCannotBeKeptLoaded) {
  const char here = 0;
  const platform::os_error nowhere = platform::keep_loaded(&here);
  EXPECT_STREQ(nowhere.call, "dladdr1");
  EXPECT_EQ(nowhere.code, ENOENT);

  strata::test::os_script script;
  script.fail(strata::test::os_call::dlopen, 1, EINVAL);
  const platform::os_error refused = platform::keep_loaded(::dlsym(RTLD_NEXT, "fwrite"));
  EXPECT_STREQ(refused.call, "dlopen");
  EXPECT_EQ(refused.code, ENOENT);
}

}  // namespace
