// SPDX-License-Identifier: Apache-2.0
// Claims: what a client hears does not depend on how its bytes are cut; too large, too long, ill ended and ill formed input
// has the protocol's own answer and what follows is understood; noreply is silent; expiry is relative, absolute or past; a
// reader that is slow is owed a bounded amount, and gets everything in the end; what is half said leaves nothing behind;
// HTTP knows three pages and refuses the rest; without memory a conversation ends and nothing is lost.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory_resource>
#include <new>
#include <span>
#include <string>
#include <string_view>

import cache_server;
import strata.pmr;

namespace cache_server {
namespace {

namespace sp = strata::pmr;

std::uint32_t clock_now = 1'000'000'000;
std::uint32_t test_clock() noexcept { return clock_now; }

struct CacheSession : testing::Test {
  sp::stack<sp::pages, sp::slabs> memory{sp::pages{}, sp::slabs{}};
  sp::stack<sp::pages, sp::slabs> buffers{sp::pages{}, sp::slabs{}};
  store items{&memory, &buffers, {.largest_value = 100'000}};
  service all{{.stack = "test", .budget = 1, .threads = 1}, items, memory, buffers, &test_clock};

  // Says it in pieces of so many bytes; returns what is heard.
  static std::string say(conversation& talk, std::string_view text, std::size_t piece = SIZE_MAX) {
    std::string heard;
    while (!text.empty() && !talk.finished()) {
      const std::span<char> room = talk.room();
      const std::size_t now = std::min({piece, room.size(), text.size()});
      std::memcpy(room.data(), text.data(), now);
      text.remove_prefix(now);
      talk.received(now);
      talk.work();
      while (!talk.output().empty()) {
        heard += talk.output().text();
        talk.output().consume(talk.output().size());
        talk.work();
      }
    }
    return heard;
  }
  std::string say_anew(std::string_view text, std::size_t piece = SIZE_MAX) {
    session fresh(all, &buffers);
    return say(fresh, text, piece);
  }
};

TEST_F(CacheSession, HearsTheSameHoweverItIsCut) {
  const std::string big(40'000, 'b');
  const std::string text =
      "set a 5 0 3\r\nabc\r\nget a\r\nappend a 0 0 2\r\nde\r\ngets a none\r\nset big 0 0 40000\r\n" + big +
      "\r\nget big a\r\nincr a 1\r\nset n 0 0 2\r\n99\r\nincr n 1\r\ndecr n 1\r\nget n\r\nbogus\r\nset big 0 0 "
      "100001\r\n" +
      std::string(100'001, 'x') + "\r\nget big\r\ndelete a\r\ndelete a\r\nversion\r\nflush_all\r\n";
  std::string expected;
  for (const std::size_t piece :
       {std::size_t{1} << 20, std::size_t{1}, std::size_t{7}, std::size_t{1000}, std::size_t{16384}}) {
    std::string heard = say_anew(text, piece);
    // The unique number is another one each time.
    if (const std::size_t at = heard.find("VALUE a 5 5 "); at != std::string::npos) {
      heard.erase(at + 12, heard.find('\r', at) - at - 12);
    }
    if (expected.empty()) expected = heard;
    EXPECT_EQ(heard, expected) << piece;
  }
  EXPECT_EQ(expected,
            "STORED\r\nVALUE a 5 3\r\nabc\r\nEND\r\nSTORED\r\nVALUE a 5 5 \r\nabcde\r\nEND\r\nSTORED\r\nVALUE big 0 "
            "40000\r\n" +
                big +
                "\r\nVALUE a 5 5\r\nabcde\r\nEND\r\nCLIENT_ERROR cannot increment or decrement non-numeric value\r\n"
                "STORED\r\n100\r\n99\r\nVALUE n 0 3\r\n99 \r\nEND\r\nERROR\r\nSERVER_ERROR object too large for "
                "cache\r\nEND\r\nDELETED\r\nNOT_FOUND\r\nVERSION 1.6.0-strata\r\nOK\r\n");
}

TEST_F(CacheSession, AnswersWhatIsWrongAndGoesOn) {
  EXPECT_EQ(say_anew("set k 0 0 4\r\nfoobar\r\nversion\r\n"),
            "CLIENT_ERROR bad data chunk\r\nERROR\r\nVERSION 1.6.0-strata\r\n");
  EXPECT_EQ(say_anew("set " + std::string(251, 'k') + " 0 0 7\r\nversion\r\nversion\r\n"),
            "CLIENT_ERROR bad command line format\r\nVERSION 1.6.0-strata\r\n")
      << "the value is no command";
  EXPECT_EQ(say_anew("get " + std::string(251, 'k') + "\r\nget x\r\n"),
            "CLIENT_ERROR bad command line format\r\nEND\r\n");
  EXPECT_EQ(say_anew(std::string(3000, 'x')), "CLIENT_ERROR line too long\r\n");
  EXPECT_EQ(say_anew("get " + std::string(60'000, 'x')), "") << "a line of keys may be longer";
  EXPECT_EQ(say_anew("get " + std::string(70'000, 'x')), "CLIENT_ERROR line too long\r\n");
  EXPECT_EQ(say_anew("quit\r\nversion\r\n"), "");
}

TEST_F(CacheSession, NoreplyIsSilent) {
  EXPECT_EQ(say_anew("set k 0 0 1 noreply\r\nv\r\nadd k 0 0 1 noreply\r\nw\r\ndelete k noreply\r\nincr k 1 noreply\r\n"
                     "touch k 1 noreply\r\nflush_all noreply\r\nverbosity 1 noreply\r\nset k 0 0 200000 noreply\r\n" +
                     std::string(200'000, 'x') + "\r\nversion\r\n"),
            "VERSION 1.6.0-strata\r\n");
}

TEST_F(CacheSession, ExpiryIsRelativeAbsoluteOrPast) {
  const std::uint32_t now = 1'000'000'000;
  EXPECT_EQ(expiry(0, now), 0U);
  EXPECT_EQ(expiry(1, now), now + 1);
  EXPECT_EQ(expiry(60 * 60 * 24 * 30, now), now + 60 * 60 * 24 * 30);
  EXPECT_EQ(expiry(60 * 60 * 24 * 30 + 1, now), 60U * 60 * 24 * 30 + 1) << "absolute, and long past";
  EXPECT_LE(expiry(-1, now), now);
  EXPECT_NE(expiry(-1, now), 0U);
  EXPECT_EQ(expiry(INT64_MAX, now), UINT32_MAX);

  clock_now = now;
  EXPECT_EQ(say_anew("set a 0 5 1\r\nv\r\nset b 0 -1 1\r\nv\r\nset c 0 1000000003 1\r\nv\r\nget a b c\r\n"),
            "STORED\r\nSTORED\r\nSTORED\r\nVALUE a 0 1\r\nv\r\nVALUE c 0 1\r\nv\r\nEND\r\n");
  clock_now = now + 4;
  EXPECT_EQ(say_anew("get a c\r\ntouch a 10\r\n"), "VALUE a 0 1\r\nv\r\nEND\r\nTOUCHED\r\n");
  clock_now = now + 13;
  EXPECT_EQ(say_anew("get a\r\nflush_all 2\r\nget a\r\n"),
            "VALUE a 0 1\r\nv\r\nEND\r\nOK\r\nVALUE a 0 1\r\nv\r\nEND\r\n");
  clock_now = now + 15;
  EXPECT_EQ(say_anew("touch a 0\r\n"), "NOT_FOUND\r\n");
  clock_now = now;
}

TEST_F(CacheSession, OwesASlowReaderABoundedAmount) {
  const std::string value(90'000, 'v');
  EXPECT_EQ(say_anew("set k 0 0 90000\r\n" + value + "\r\n"), "STORED\r\n");
  session slow(all, &buffers);
  std::string request = "get";
  for (int i = 0; i < 200; ++i) request += " k";
  request += "\r\nversion\r\n";
  const std::span<char> room = slow.room();
  ASSERT_GE(room.size(), request.size());
  std::memcpy(room.data(), request.data(), request.size());
  slow.received(request.size());
  slow.work();
  EXPECT_LE(slow.output().size(), conversation::most_waiting + value.size() + 1000);
  EXPECT_FALSE(slow.wants_input());
  std::size_t heard = 0;
  std::size_t most = 0;
  while (!slow.output().empty()) {
    most = std::max(most, slow.output().size());
    const std::size_t some = std::min<std::size_t>(slow.output().size(), 10'000);
    slow.output().consume(some);
    heard += some;
    slow.work();
  }
  EXPECT_LE(most, conversation::most_waiting + value.size() + 1000);
  EXPECT_EQ(heard, 200 * (std::string("VALUE k 0 90000\r\n\r\n").size() + value.size()) +
                       std::string("END\r\n").size() + std::string("VERSION 1.6.0-strata\r\n").size());
}

TEST_F(CacheSession, LeavesNothingBehindWhenItIsCutShort) {
  const std::size_t before = buffers.stats().live;
  for (const char* const text : {"se", "set k 0 0 50000\r\nhalf", "get ", "set k 0 0 900000\r\nhalf", "\xFF\xFE"}) {
    EXPECT_EQ(say_anew(text), "") << text;
  }
  EXPECT_EQ(memory.stats().live, 0U);
  EXPECT_EQ(buffers.stats().live, before);
}

TEST_F(CacheSession, TellsItsFigures) {
  const std::string heard = say_anew("set k 0 0 1\r\nv\r\nget k x\r\nstats\r\n");
  for (const char* const line :
       {"STAT curr_items 1\r\n", "STAT get_hits 1\r\n", "STAT get_misses 1\r\n", "STAT cmd_set 1\r\n"}) {
    EXPECT_NE(heard.find(line), std::string::npos) << heard;
  }
  EXPECT_NE(say_anew("stats settings\r\n").find("STAT stack test\r\n"), std::string::npos);
  const std::string strata = say_anew("stats strata\r\n");
  EXPECT_NE(strata.find("STAT items:1:slabs:live " + std::to_string(memory.stats().live) + "\r\n"), std::string::npos)
      << strata;
  EXPECT_TRUE(strata.ends_with("\r\nEND\r\n"));
  EXPECT_EQ(say_anew("stats nothing\r\n"), "ERROR\r\n");
}

TEST_F(CacheSession, HttpKnowsThreePages) {
  const auto ask = [this](std::string_view text, std::size_t piece) {
    http talk(all, &buffers);
    const std::string heard = say(talk, text, piece);
    EXPECT_TRUE(talk.finished() || heard.empty());
    return heard;
  };
  for (const std::size_t piece : {std::size_t{1}, std::size_t{10'000}}) {
    EXPECT_TRUE(ask("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", piece).ends_with("\r\n\r\nok\n"));
    EXPECT_NE(ask("GET /metrics HTTP/1.0\r\n\r\n", piece).find("\nstrata_requested_bytes{resource=\"items\"} "),
              std::string::npos);
    EXPECT_NE(ask("GET /report.json HTTP/1.1\n\n", piece).find("\"resource\": \"buffers\""), std::string::npos);
  }
  EXPECT_TRUE(ask("GET /else HTTP/1.1\r\n\r\n", 100).starts_with("HTTP/1.1 404 "));
  EXPECT_TRUE(ask("POST /metrics HTTP/1.1\r\n\r\n", 100).starts_with("HTTP/1.1 405 "));
  EXPECT_TRUE(ask("garbage\r\n\r\n", 100).starts_with("HTTP/1.1 400 "));
  EXPECT_TRUE(ask("GET /healthz HTTP/1.1\r\n" + std::string(9000, 'x'), 1000).starts_with("HTTP/1.1 431 "));
  EXPECT_EQ(ask("GET /healthz HTTP/1.1\r\n", 100), "") << "not yet all said";
}

TEST_F(CacheSession, EndsWithoutMemoryAndLosesNothing) {
  ASSERT_EQ(say_anew("set k 0 0 90000\r\n" + std::string(90'000, 'v') + "\r\n"), "STORED\r\n");
  sp::limit_adaptor<std::pmr::memory_resource, sp::limit> narrow(&buffers, {.bytes = 20'000});
  {
    session starved(all, &narrow);
    EXPECT_THROW(say(starved, "get k\r\n"), std::bad_alloc);
  }
  EXPECT_EQ(narrow.stats().live, 0U);
  EXPECT_EQ(say_anew("get k\r\n").size(), 90'000 + std::string("VALUE k 0 90000\r\n\r\nEND\r\n").size())
      << "no lock was left";
}

}  // namespace
}  // namespace cache_server
