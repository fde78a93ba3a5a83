// SPDX-License-Identifier: Apache-2.0
// Claims, on Linux: loads, stores and fetches are told apart, at the very address; a fault whose address the machine does
// not know has none; a touch beyond an object's end is SIGBUS.
#include <gtest/gtest.h>

#include <cerrno>
#include <csignal>
#include <cstddef>

#include "tests/platform/faults.h"

import strata.platform;

namespace {

namespace platform = strata::platform;
using platform::fault_access;
using strata::test::recovering_handler;

platform::memory_fault told;
int calls = 0;

void remember(const platform::memory_fault& fault) noexcept {
  told = fault;
  ++calls;
}

struct FaultLinux : testing::Test {
  FaultLinux() {
    calls = 0;
    const auto got = platform::map(2 * page(), page());
    base = static_cast<char*>(got.base);
    EXPECT_NE(base, nullptr);
    EXPECT_FALSE(platform::install_fault_hook(remember).failed());
  }
  ~FaultLinux() override {
    EXPECT_FALSE(platform::uninstall_fault_hook().failed());
    EXPECT_FALSE(platform::unmap(base, 2 * page()).failed());
  }

  static std::size_t page() { return platform::page_size(); }

  recovering_handler handler;
  char* base = nullptr;
};

#if defined(__x86_64__) || defined(__aarch64__)

TEST_F(FaultLinux, TellsLoadsFromStores) {
  ASSERT_FALSE(platform::protect(base, page(), platform::access::none).failed());
  recovering_handler::loading(base + 17);
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(told.access, fault_access::load);
  EXPECT_EQ(told.address, base + 17);
  EXPECT_EQ(told.signal, SIGSEGV);
  EXPECT_EQ(told.code, SEGV_ACCERR);
  recovering_handler::storing(base + 18);
  EXPECT_EQ(calls, 2);
  EXPECT_EQ(told.access, fault_access::store);
  EXPECT_EQ(told.address, base + 18);
  ASSERT_FALSE(platform::protect(base, page(), platform::access::read).failed());
  EXPECT_EQ(recovering_handler::loading(base + 17).signal, 0);
  EXPECT_EQ(calls, 2);
  recovering_handler::storing(base + 19);
  EXPECT_EQ(told.access, fault_access::store);
  EXPECT_EQ(told.address, base + 19);
}

TEST_F(FaultLinux, TellsFetches) {
  // Never executable: nothing here is.
  using function = void (*)();
  const auto nowhere = reinterpret_cast<function>(base + 64);
  recovering_handler::accessing(
      [nowhere]() __attribute__((disable_sanitizer_instrumentation, no_sanitize("all"))) { nowhere(); });
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(told.access, fault_access::fetch);
  EXPECT_EQ(told.address, base + 64);
}

#endif

#if defined(__x86_64__)
TEST_F(FaultLinux, WhoseAddressNoPageCanHaveHasNone) {
  // Bits 48 to 62 are not copies of bit 47: the processor says what it is, and not where.
  recovering_handler::loading(reinterpret_cast<const volatile char*>(std::uintptr_t{1} << 62U));
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(told.address, nullptr);
  EXPECT_EQ(told.access, fault_access::unknown);
  EXPECT_EQ(told.signal, SIGSEGV);
}
#endif

TEST_F(FaultLinux, BeyondTheEndOfAnObjectIsABusError) {
  const auto made = platform::create_unnamed("strata fault test");
  ASSERT_GE(made.descriptor, 0);
  ASSERT_FALSE(platform::resize(made.descriptor, 2 * page()).failed());
  const auto got = platform::map_object(made.descriptor, 2 * page(), page(), 0);
  ASSERT_NE(got.base, nullptr);
  ASSERT_FALSE(platform::resize(made.descriptor, page()).failed());
  char* const gone = static_cast<char*>(got.base) + page() + 5;
  EXPECT_EQ(recovering_handler::loading(gone).signal, SIGBUS);
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(told.signal, SIGBUS);
  EXPECT_EQ(told.code, BUS_ADRERR);
  EXPECT_EQ(told.address, gone);
  platform::close_object(made.descriptor);
  EXPECT_FALSE(platform::unmap(got.base, 2 * page()).failed());
}

}  // namespace
