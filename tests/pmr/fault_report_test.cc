// SPDX-License-Identifier: Apache-2.0
// Claims: W4-09 faults are explained once that is switched on, and no more when it is off; the handler that was there
// is called after the report; somebody else's hook is not taken away; an address that is no block's has no explanation,
// one where no block ever was has another sentence; nothing is done under AddressSanitizer unless told so.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <string>

#include "tests/support/sanitizer.h"

import strata.mem;
import strata.pmr;

namespace strata::pmr {
namespace {

void keep(void* to, const char* text, std::size_t bytes) noexcept {
  static_cast<std::string*>(to)->append(text, bytes);
}

[[noreturn]] void earlier_handler(int /*signal*/, siginfo_t* /*info*/, void* /*context*/) {
  constexpr char text[] = "the earlier handler\n";
  static_cast<void>(::write(STDERR_FILENO, text, sizeof text - 1));
  ::_exit(3);
}

TEST(FaultReport, ExplainsWhatABlockWas) {
  stack memory(pages{}, slabs{}, shadow{.name = "orders"});
  auto* const p = static_cast<std::byte*>(memory.allocate(5000, 8));
  memory.deallocate(p, 5000, 8);
  std::string text;
  EXPECT_TRUE(explain_fault({.address = p + 4999, .access = mem::fault_access::store}, {&keep, &text}));
  EXPECT_NE(text.find("strata: orders: use after free: a store to a block that was deallocated (block 0x"),
            std::string::npos)
      << text;
  EXPECT_NE(text.find("is number 4999 of it, counted from 0"), std::string::npos) << text;
  text.clear();
  EXPECT_TRUE(explain_fault({.address = p + 5 * 4096, .access = mem::fault_access::load}, {&keep, &text}));
  EXPECT_EQ(text.find("strata: orders: an access to its address space where no block was handed out"), 0U) << text;
  text.clear();
  EXPECT_FALSE(explain_fault({.address = &text}, {&keep, &text}));
  EXPECT_FALSE(explain_fault({.address = nullptr}, {&keep, &text}));
  EXPECT_EQ(text, "");
}

struct FaultReportDeathTest : testing::Test {
  FaultReportDeathTest() { memory.deallocate(const_cast<char*>(p), 10, 1); }

  // In the child of a death test, which has a handler of its own: reports, or has just stopped, and uses the block.
  void use(bool reports) const {
    struct sigaction mine{};
    mine.sa_sigaction = &earlier_handler;
    mine.sa_flags = SA_SIGINFO;
    sigaction(SIGSEGV, &mine, nullptr);
    if (report_faults({.under_asan = true}).failed()) std::abort();
    if (!reports && stop_reporting_faults().failed()) std::abort();
    *p = 1;
  }

  stack<pages, slabs, shadow> memory{pages{}, slabs{}, shadow{}};
  volatile char* const p = static_cast<volatile char*>(memory.allocate(10, 1));
};

TEST_F(FaultReportDeathTest, GoesOnToTheHandlerThatWasThere) {  // W4-09
  EXPECT_EXIT(use(true), testing::ExitedWithCode(3), "use after free: a store(.|\n)*the earlier handler");
}

TEST_F(FaultReportDeathTest, IsSilentWhenItIsOff) {
  EXPECT_EXIT(use(false), testing::ExitedWithCode(3), "^the earlier handler\n$");
}

TEST(FaultReport, LeavesSomebodyElsesHookAlone) {
  ASSERT_FALSE(mem::install_fault_hook([](const mem::memory_fault&) noexcept {}).failed());
  EXPECT_EQ(report_faults({.under_asan = true}).code, EBUSY);
  ASSERT_FALSE(mem::uninstall_fault_hook().failed());
}

TEST(FaultReport, IsOffUnderAddressSanitizerUnlessToldSo) {
  EXPECT_EQ(mem::has_address_sanitizer, test::under_asan);
  ASSERT_FALSE(report_faults().failed());
  struct sigaction now{};
  sigaction(SIGSEGV, nullptr, &now);
  const auto* const before = reinterpret_cast<const void*>(now.sa_sigaction);
  ASSERT_FALSE(stop_reporting_faults().failed());
  sigaction(SIGSEGV, nullptr, &now);
  EXPECT_EQ(before == reinterpret_cast<const void*>(now.sa_sigaction), test::under_asan);
}

}  // namespace
}  // namespace strata::pmr
