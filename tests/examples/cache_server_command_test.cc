// SPDX-License-Identifier: Apache-2.0
// Claims: every command's line is read with all its parts; words missing make it no command; what is wrong is said in the
// protocol's words, and a value that follows is known all the same; numbers are bounded; no text makes it read past its end.
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

import cache_server;

namespace cache_server {
namespace {

TEST(Command, ReadsStorageLines) {
  const command c = read_command("cas the_key 4294967295 -5 1048576 18446744073709551615 noreply\r");
  EXPECT_EQ(c.what, verb::cas);
  EXPECT_EQ(c.key, "the_key");
  EXPECT_EQ(c.flags, UINT32_MAX);
  EXPECT_EQ(c.expires, -5);
  EXPECT_EQ(c.bytes, 1048576U);
  EXPECT_EQ(c.number, UINT64_MAX);
  EXPECT_TRUE(c.noreply);
  EXPECT_TRUE(c.value_follows);
  EXPECT_EQ(c.wrong, nullptr);
  for (const char* const name : {"set", "add", "replace", "append", "prepend"}) {
    const command other = read_command(std::string(name) + " k 1 2 3");
    EXPECT_TRUE(stores(other.what)) << name;
    EXPECT_EQ(other.wrong, nullptr) << name;
    EXPECT_FALSE(other.noreply);
  }
}

TEST(Command, ReadsTheOthers) {
  EXPECT_EQ(read_command("get a  bb c").keys, "a  bb c");
  EXPECT_EQ(read_command("gets a").what, verb::gets);
  EXPECT_EQ(read_command("incr n 5").number, 5U);
  EXPECT_EQ(read_command("decr n 5 noreply").noreply, true);
  EXPECT_EQ(read_command("touch k 77").expires, 77);
  EXPECT_EQ(read_command("delete k").wrong, nullptr);
  EXPECT_EQ(read_command("delete k 0 noreply").wrong, nullptr);
  EXPECT_EQ(read_command("flush_all").expires, 0);
  EXPECT_EQ(read_command("flush_all 30 noreply").expires, 30);
  EXPECT_EQ(read_command("flush_all noreply").noreply, true);
  EXPECT_EQ(read_command("stats settings").key, "settings");
  EXPECT_EQ(read_command("version").what, verb::version);
  EXPECT_EQ(read_command("quit\r").what, verb::quit);
  EXPECT_EQ(read_command("verbosity 1").wrong, nullptr);
}

TEST(Command, MissingWordsMakeItNone) {
  for (const char* const line : {"", "\r", "get", "gets ", "set", "set k", "set k 0", "set k 0 0", "incr k", "touch k",
                                 "delete", "verbosity", "SET k 0 0 1", "gett k", " ", "verbosity 1 2 3", "cas k 0 0"}) {
    EXPECT_STREQ(read_command(line).wrong, "ERROR") << line;
    EXPECT_FALSE(read_command(line).value_follows) << line;
  }
}

TEST(Command, SaysWhatIsWrongInTheProtocolsWords) {
  const std::string longest(longest_key, 'k');
  EXPECT_EQ(read_command("set " + longest + " 0 0 1").wrong, nullptr);
  const std::string long_line = "set " + longest + "k 0 0 17";
  const command too_long = read_command(long_line);
  EXPECT_STREQ(too_long.wrong, "CLIENT_ERROR bad command line format");
  EXPECT_TRUE(too_long.value_follows) << "so that it is not taken for commands";
  EXPECT_EQ(too_long.bytes, 17U);
  for (const char* const line :
       {"set k x 0 1", "set k 4294967296 0 1", "set k -1 0 1", "set k 0 x 1", "cas k 0 0 1 x"}) {
    EXPECT_STREQ(read_command(line).wrong, "CLIENT_ERROR bad command line format") << line;
    EXPECT_TRUE(read_command(line).value_follows) << line;
  }
  for (const char* const line :
       {"set k 0 0 -1", "set k 0 0 x", "set k 0 0 2147483648", "set k 0 0 99999999999999999999"}) {
    EXPECT_STREQ(read_command(line).wrong, "CLIENT_ERROR bad command line format") << line;
    EXPECT_FALSE(read_command(line).value_follows) << line;
  }
  EXPECT_STREQ(read_command("incr k -1").wrong, "CLIENT_ERROR invalid numeric delta argument");
  EXPECT_STREQ(read_command("incr k 18446744073709551616").wrong, "CLIENT_ERROR invalid numeric delta argument");
  EXPECT_STREQ(read_command("touch k x").wrong, "CLIENT_ERROR invalid exptime argument");
  EXPECT_STREQ(read_command("delete k 5").wrong,
               "CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]");
}

TEST(Command, NumbersAreDecimalAndBounded) {
  EXPECT_EQ(number_of("0"), 0U);
  EXPECT_EQ(number_of("18446744073709551615"), UINT64_MAX);
  for (const char* const text : {"", "-1", "+1", " 1", "1 ", "0x1", "1.0", "18446744073709551616"}) {
    EXPECT_FALSE(number_of(text).has_value()) << text;
  }
  EXPECT_FALSE(number_of("11", 10).has_value());
}

TEST(Command, AnyTextIsReadAndStaysWithinItself) {
  const std::uint64_t seed = 11;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  const std::vector<std::string> words{"get", "set", "cas", "incr", "flush_all", "noreply",
                                       "0",   "-1",  "k",   "",     "\xFF\n"};
  for (int round = 0; round < 20'000; ++round) {
    std::string built;
    for (std::size_t i = random() % 9; i > 0; --i)
      built += words[random() % words.size()] + std::string(random() % 3, ' ');
    const std::vector<char> exact(built.begin(), built.end());  // a sanitizer sees a step beyond
    const std::string_view line(exact.data(), exact.size());
    const command c = read_command(line);
    for (const std::string_view part : {c.key, c.keys}) {
      if (part.empty()) continue;
      ASSERT_GE(part.data(), line.data());
      ASSERT_LE(part.data() + part.size(), line.data() + line.size());
    }
    ASSERT_TRUE(c.wrong != nullptr || c.what != verb::unknown);
  }
}

}  // namespace
}  // namespace cache_server
