// SPDX-License-Identifier: Apache-2.0
// Claims: the suite can fail. For each fault planted in a resource, the claim that forbids it fails, for the reason
// expected, and the same resource without a fault passes all. Of the standard library's pools the suite finds what is
// known to be wrong with them.
//
// Each runs in a child process, since what a broken resource does next is anybody's guess: a claim counts as failed by
// a GoogleTest failure, by a sanitizer's report, or by a crash, as each row says.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "tests/support/sanitizer.h"

extern char** environ;  // NOLINT(readability-redundant-declaration): POSIX wants it declared by who uses it

namespace {

std::string program;  // planted_faults, from the command line

struct outcome {
  bool exited_well = false;
  int signal = 0;
  std::string output;

  [[nodiscard]] bool says(const std::string& text) const { return output.find(text) != std::string::npos; }
};

/// Runs the tests that match `filter` in a process of their own and collects what they print.
outcome run(const std::string& filter) {
  std::array<int, 2> pipe{};
  EXPECT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
  posix_spawn_file_actions_t actions{};
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, pipe[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, pipe[1], STDERR_FILENO);

  std::string filter_argument = "--gtest_filter=" + filter;
  std::string name = program;
  std::array<char*, 3> arguments{name.data(), filter_argument.data(), nullptr};
  pid_t child = 0;
  const int error = ::posix_spawn(&child, program.c_str(), &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  ::close(pipe[1]);

  outcome result;
  if (error == 0) {
    std::array<char, 4096> part{};
    for (ssize_t n = 0; (n = ::read(pipe[0], part.data(), part.size())) > 0;) {
      result.output.append(part.data(), static_cast<std::size_t>(n));
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    result.exited_well = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    result.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  } else {
    ADD_FAILURE() << "cannot run " << program;
  }
  ::close(pipe[0]);
  return result;
}

/// What a broken resource is expected to come to.
struct expectation {
  const char* resource;
  const char* claim;
  const char* reason;  // in what the failed test prints
};

void PrintTo(const expectation& e, std::ostream* out) { *out << e.resource << " by " << e.claim; }

bool reported_by_sanitizer(const outcome& result) { return result.says("Sanitizer:") || result.says("runtime error:"); }

class PlantedFault : public testing::TestWithParam<expectation> {};

TEST_P(PlantedFault, FailsTheClaimThatForbidsIt) {
  const auto& [resource, claim, reason] = GetParam();
  const outcome result = run(std::string("Planted/Conformance.") + claim + "/" + resource);
  EXPECT_TRUE(result.says("Running 1 test from 1 test suite")) << result.output;
  EXPECT_FALSE(result.exited_well) << result.output;
  EXPECT_TRUE(result.says(reason) || reported_by_sanitizer(result)) << result.output;
}

std::string name_of(const testing::TestParamInfo<expectation>& info) {
  return std::string(info.param.resource) + "_" + info.param.claim;
}

INSTANTIATE_TEST_SUITE_P(OfThreads, PlantedFault,
                         testing::Values(expectation{"races", "ServesFourThreadsThatHandBlocksToEachOther",
                                                     "lost contents"}),
                         name_of);

TEST(PlantedFaults, AreWhatTheClaimsFailFor) {
  const outcome result = run("Planted/Conformance.*/none");
  EXPECT_TRUE(result.exited_well) << result.output;
  EXPECT_FALSE(result.says("SKIPPED")) << "every claim is to be tried: " << result.output;
}

// Where races alone are looked for, the claims of one thread are left out of the suite.
#if !STRATA_TEST_HAS(thread_sanitizer)

constexpr auto kAligns = "AlignsEveryBlockAndGivesAllItsBytes";
constexpr auto kRandom = "KeepsEveryBlockIntactUnderRandomOperations";
constexpr auto kImpossible = "RefusesImpossibleSizesWithoutAskingForLess";
constexpr auto kZero = "GivesEveryZeroByteRequestABlockOfItsOwn";
constexpr auto kReturns = "ReturnsEverythingWhenDestroyed";
constexpr auto kReleases = "ReturnsEverythingAtReleaseAndWorksOn";
constexpr auto kHeap = "TakesNothingFromTheHeap";
constexpr auto kStrong = "LeavesEverythingAsItWasWhenUpstreamFails";
constexpr auto kException = "LetsTheUpstreamsExceptionThrough";
constexpr auto kDeallocates = "DeallocatesWithoutAskingUpstreamAndWithoutThrowing";

INSTANTIATE_TEST_SUITE_P(
    Each, PlantedFault,
    testing::Values(expectation{"ignores_alignment", kAligns, "misaligned block"},
                    expectation{"ignores_alignment", "AlignsBlocksThatLiveTogether", "misaligned block"},
                    expectation{"wraps_sizes", kImpossible, "granted"},
                    expectation{"equals_all", "EqualsItselfAlone", "of two instances"},
                    expectation{"leaks_at_destruction", kReturns, "leaked block"},
                    expectation{"leaks_at_release", kReleases, "after release()"},
                    expectation{"misstates_size", kReturns, "wrong size"},
                    expectation{"misstates_alignment", kReturns, "wrong alignment"},
                    expectation{"overlaps_blocks", kRandom, "overlapping blocks"},
                    expectation{"loses_contents", kRandom, "lost contents"},
                    expectation{"writes_past_its_blocks", kReturns, "overwritten bounds"},
                    expectation{"uses_default_resource", kHeap, "from the default resource, allocation"},
                    expectation{"uses_default_resource", "CarriesSequences", "from the default resource"},
                    expectation{"uses_operator_new", kHeap, "malloc, allocation"},
                    expectation{"uses_operator_new", "CarriesHashedContainers", "from malloc"},
                    expectation{"uses_malloc", kHeap, "malloc, allocation"},
                    expectation{"leaks_when_refused", kStrong, "after and before a failed request"},
                    expectation{"leaks_when_refused", "LosesNothingWhenAContainerRunsOutOfMemory", "leaked block"},
                    expectation{"loses_a_block_when_refused", kStrong, "left after destruction"},
                    expectation{"gives_null_for_nothing", kZero, "null block"},
                    expectation{"shares_zero_bytes", kZero, "overlapping blocks"},
                    expectation{"swallows_exception", kException, "upstream threw a type of its own"},
                    expectation{"throws_something_else", kException, "what is no std::bad_alloc"},
                    expectation{"allocates_to_deallocate", kDeallocates, "deallocate threw"},
                    expectation{"breaks_after_release", kReleases, "std::bad_alloc"},
                    expectation{"breaks_after_refusal", kStrong, "std::bad_alloc"}),
    name_of);

TEST(StandardMonotonicBuffer, Conforms) {
  const outcome result = run("Standard/Conformance.*/monotonic");
  EXPECT_TRUE(result.exited_well) << result.output;
}

#if defined(_GLIBCXX_RELEASE) && _GLIBCXX_RELEASE <= 12

class StandardPool : public testing::TestWithParam<const char*> {};

TEST_P(StandardPool, IsFoundToMisalign) {
  const outcome result = run(std::string("Standard/Conformance.AlignsEveryBlockAndGivesAllItsBytes/") + GetParam());
  EXPECT_FALSE(result.exited_well) << result.output;
  EXPECT_TRUE(result.says("(17 bytes, alignment 16)") || reported_by_sanitizer(result)) << result.output;
}

/// Its pool takes the last chunk of an empty list after it swallowed upstream's exception.
TEST_P(StandardPool, IsFoundToCrashWhenUpstreamThrows) {
  const outcome result =
      run(std::string("Standard/Conformance.LosesNothingWhenAContainerRunsOutOfMemory/") + GetParam());
  EXPECT_FALSE(result.exited_well) << result.output;
  EXPECT_FALSE(result.says("[  FAILED  ]")) << "it is to die before any claim is judged: " << result.output;
  EXPECT_TRUE(result.signal == SIGSEGV || reported_by_sanitizer(result))
      << "signal " << result.signal << ": " << result.output;
}

TEST_P(StandardPool, IsFoundToAskForLessWhenASizeIsImpossible) {
  const outcome result =
      run(std::string("Standard/Conformance.RefusesImpossibleSizesWithoutAskingForLess/") + GetParam());
  EXPECT_FALSE(result.exited_well) << result.output;
  EXPECT_TRUE(result.says("bytes asked of upstream on behalf of") || reported_by_sanitizer(result)) << result.output;
}

INSTANTIATE_TEST_SUITE_P(Each, StandardPool, testing::Values("unsynchronized_pool", "synchronized_pool"),
                         [](const testing::TestParamInfo<const char*>& info) { return std::string(info.param); });

#endif

#endif

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (argc != 2) {
    std::fputs("usage: planted_faults_test PATH_OF_planted_faults\n", stderr);
    return 2;
  }
  program = argv[1];
  ::setenv("STRATA_STEPS", "20000", 1);  // for the children: a planted fault shows long before
  return RUN_ALL_TESTS();
}
