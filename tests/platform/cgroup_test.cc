// SPDX-License-Identifier: Apache-2.0
// Claims:
//  * the own group is found in version 1, version 2 and hybrid mounts, below the mount point, with its ancestors
//  * a mount that shows a part of the hierarchy (container) is matched with the path of the group; where they do not
//  match, or the path
//    leaves the mount, the mount point stands for the group
//  * of several mounts the one that shows most ancestors is taken
//  * mountinfo is understood with optional fields, without, and with escaped characters; lines that are torn or
//  senseless are passed over
// White box: the partition is private to the floor, so the test is a unit of it.
module;
#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "tests/platform/fake_tree.h"

module strata.platform:cgroup.test;

import :cgroup;
import :os_file;

namespace strata::platform {
namespace {

class Cgroup : public strata::test::fake_tree {
 protected:
  using list = std::vector<std::string>;

  void self(const std::string& groups, const std::string& mounts) {
    write("/proc/self/cgroup", groups);
    write("/proc/self/mountinfo", mounts);
  }

  /// The directories looked at, the own group first, without the tree's root.
  list levels(std::string_view controller) const {
    list all;
    group level(root(), controller);
    if (!level.found()) return all;
    do {
      EXPECT_TRUE(level.directory().starts_with(root()));
      all.emplace_back(level.directory().substr(std::string_view(root()).size()));
    } while (level.up());
    return all;
  }
};

TEST_F(Cgroup, IsFoundInVersion2) {
  self("0::/user.slice/a.scope\n", "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
  EXPECT_EQ(levels(""), (list{"/sys/fs/cgroup/user.slice/a.scope", "/sys/fs/cgroup/user.slice", "/sys/fs/cgroup"}));
  EXPECT_EQ(levels("memory"), list{});
}

TEST_F(Cgroup, IsFoundInVersion1ByController) {
  self("5:cpu,cpuacct:/c\n4:memory:/m/n\n3:memory_other:/o\n",
       "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
       "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
  EXPECT_EQ(levels("memory"), (list{"/sys/fs/cgroup/memory/m/n", "/sys/fs/cgroup/memory/m", "/sys/fs/cgroup/memory"}));
  EXPECT_EQ(levels("cpu"), (list{"/sys/fs/cgroup/cpu,cpuacct/c", "/sys/fs/cgroup/cpu,cpuacct"}));
  EXPECT_EQ(levels("cpuacct").size(), 2U);
  EXPECT_EQ(levels(""), list{});
}

TEST_F(Cgroup, IsFoundInBothKindsWhereBothAreMounted) {
  self("9:name=systemd:/\n4:memory:/one\n0::/two\n",
       "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
       "37 31 0:34 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd\n"
       "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n");
  EXPECT_EQ(levels("memory"), (list{"/sys/fs/cgroup/memory/one", "/sys/fs/cgroup/memory"}));
  EXPECT_EQ(levels(""), (list{"/sys/fs/cgroup/unified/two", "/sys/fs/cgroup/unified"}));
}

TEST_F(Cgroup, IsTheMountPointInAContainerThatMountsItsOwnGroup) {
  self("4:memory:/docker/abc\n",
       "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro master:9 - cgroup cgroup rw,memory\n");
  EXPECT_EQ(levels("memory"), list{"/sys/fs/cgroup/memory"});
}

TEST_F(Cgroup, IsFoundBelowAMountOfAnAncestor) {
  self("4:memory:/docker/abc/job\n", "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n");
  EXPECT_EQ(levels("memory"), (list{"/sys/fs/cgroup/memory/job", "/sys/fs/cgroup/memory"}));
}

TEST_F(Cgroup, IsTheMountPointWhereThePathLiesElsewhere) {
  for (const char* own : {"/docker/abcdef", "/docker", "/other", "/docker/abc/../x", "/..", "/../other", "/"}) {
    self(std::string("4:memory:") + own + "\n",
         "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n");
    EXPECT_EQ(levels("memory"), list{"/sys/fs/cgroup/memory"}) << own;
  }
  self("0::/../neighbour\n", "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  EXPECT_EQ(levels(""), list{"/sys/fs/cgroup"});
}

TEST_F(Cgroup, IsMatchedWithAMountAboveTheNamespace) {
  self("0::/../../a/b\n", "30 24 0:26 /../.. /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  EXPECT_EQ(levels(""), (list{"/sys/fs/cgroup/a/b", "/sys/fs/cgroup/a", "/sys/fs/cgroup"}));
}

TEST_F(Cgroup, IsTheMountPointWhereTheOwnPathIsNotTold) {
  const char* const mounts = "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
  for (const std::string& groups :
       {std::string(), std::string("garbage\n"), std::string("0::\n"), std::string("0::relative\n"),
        "0::/" + std::string(5000, 'x') + "\n", std::string("4:memory:/m\n")}) {
    self(groups, mounts);
    EXPECT_EQ(levels(""), list{"/sys/fs/cgroup"}) << groups.substr(0, 40);
  }
  remove("/proc/self/cgroup");
  EXPECT_EQ(levels(""), list{"/sys/fs/cgroup"});
}

TEST_F(Cgroup, IsTakenFromTheMountThatShowsMostAncestors) {
  const std::string other = "33 31 0:32 /elsewhere /mnt/other rw - cgroup2 cgroup2 rw\n";
  const std::string own = "34 31 0:32 /a/b /mnt/own rw - cgroup2 cgroup2 rw\n";
  const std::string all = "35 31 0:32 / /mnt/all rw - cgroup2 cgroup2 rw\n";
  const list expected{"/mnt/all/a/b", "/mnt/all/a", "/mnt/all"};
  for (const std::string& mounts : {other + own + all, all + own + other, own + other + all}) {
    self("0::/a/b\n", mounts);
    EXPECT_EQ(levels(""), expected) << mounts;
  }
  self("0::/a/b\n", other + own);
  EXPECT_EQ(levels(""), list{"/mnt/own"});
}

TEST_F(Cgroup, IsFoundThroughEscapedCharactersAndOptionalFields) {
  self("0::/a b/c\\d\n",
       "30 24 0:26 /a\\040b /mnt/tab\\011new\\012line\\134back rw shared:4 master:2 propagate_from:7 unbindable - "
       "cgroup2 none rw\n");
  EXPECT_EQ(levels(""), (list{"/mnt/tab\tnew\nline\\back/c\\d", "/mnt/tab\tnew\nline\\back"}));
  self("0::/\n", "30 24 0:26 / /mnt/odd\\9\\04\\ rw - cgroup2 none rw\n");
  EXPECT_EQ(levels(""), list{"/mnt/odd\\9\\04\\"});
}

TEST_F(Cgroup, IsFoundAmongLinesThatMakeNoSense) {
  const std::string good = "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
  const list expected{"/sys/fs/cgroup/g", "/sys/fs/cgroup"};
  for (const std::string& bad :
       {std::string("\n"), std::string("   \n"), std::string("-\n"), std::string("1 2 3 - cgroup2\n"),
        std::string("30 24 0:26 / /x rw\n"), std::string("30 24 0:26 / /x rw - \n"),
        std::string("30 24 0:26 relative /x rw - cgroup2 c rw\n"),
        std::string("30 24 0:26 / relative rw - cgroup2 c rw\n"), std::string("30 24 0:26 / /x rw - cgroup2fs c rw\n"),
        std::string("1 2 0:3 / / rw - overlay o lowerdir=") + std::string(9000, 'l') + " - cgroup2 c rw\n",
        std::string(5, '\0') + "\n"}) {
    self("0::/g\n", bad + good);
    EXPECT_EQ(levels(""), expected) << bad.substr(0, 60);
  }
}

TEST_F(Cgroup, IsNotFoundWhereNoneIsMounted) {
  EXPECT_EQ(levels(""), list{});
  self("0::/g\n", "");
  EXPECT_EQ(levels(""), list{});
  self("0::/g\n", "22 1 0:21 / /proc rw - proc proc rw\n");
  EXPECT_EQ(levels(""), list{});
}

TEST_F(Cgroup, NamesFilesOfTheLevelItIsAt) {
  self("0::/g\n", "30 24 0:26 / /c rw - cgroup2 cgroup2 rw\n");
  group level(root(), "");
  EXPECT_EQ(level.file("memory.max").view(), std::string(root()) + "/c/g/memory.max");
  EXPECT_TRUE(level.up());
  EXPECT_EQ(level.file("memory.max").view(), std::string(root()) + "/c/memory.max");
  EXPECT_FALSE(level.up());
  EXPECT_EQ(level.file("memory.max").view(), std::string(root()) + "/c/memory.max");
}

}  // namespace
}  // namespace strata::platform
