// SPDX-License-Identifier: Apache-2.0
// In each of these worlds a simulated part breaks one rule, and the checkers must see it: else a service that broke it
// would not be seen either. The same worlds without a lie are those of Scenarios.
#include <set>

#include "tests/simulation/any_world.h"
#include "tests/simulation/world_test.h"

namespace dhub::simulation {
namespace {

using Lie = std::function<void(AnyWorld&)>;

// Whether the checkers say so in one of some worlds.
testing::AssertionResult seen(const Lie& lie, const std::string& word) {
  constexpr std::uint64_t kWorlds = 300;
  const std::uint64_t first = test_seed_or(1);
  std::set<std::string> others;
  for (std::uint64_t seed = first; seed < first + kWorlds; ++seed) {
    AnyWorld any(seed);
    lie(any);
    any.live(120);
    if (any.sound()) any.heal();
    for (const auto& said : any.world.checkers.violations()) {
      if (said.starts_with(word)) return testing::AssertionSuccess();
      others.insert(said);
    }
  }
  return testing::AssertionFailure() << "from seed " << first << " only: " << testing::PrintToString(others);
}

// ---- the journal ----

TEST(Canary, AJournalThatStoresNothingIsSeen) {
  EXPECT_TRUE(seen([](AnyWorld& any) { any.world.disk.lies.forget_commits = true; }, "I4:"));
}

TEST(Canary, AJournalThatForgetsAttemptsIsSeen) {
  EXPECT_TRUE(seen([](AnyWorld& any) { any.world.disk.lies.forget_failures = true; }, "I6:"));
}

TEST(Canary, AJournalThatTakesCommitsOfOldOwnersIsSeen) {
  EXPECT_TRUE(seen([](AnyWorld& any) { any.world.disk.lies.forget_fence = true; }, "I9:"));
}

TEST(Canary, AnOwnerThatIsNotTheNextOneIsSeen) {
  EXPECT_TRUE(seen([](AnyWorld& any) { any.world.disk.lies.keep_epoch = true; }, "I5:"));
}

TEST(Canary, OutputsThatAreLostAreSeen) {
  EXPECT_TRUE(seen([](AnyWorld& any) { any.world.disk.lies.forget_outputs = true; }, "I1: nothing was published"));
}

TEST(Canary, OutputsThatAreThereTwiceAreSeen) {
  EXPECT_TRUE(seen([](AnyWorld& any) { any.world.disk.lies.double_outputs = true; }, "I1: published 2 times"));
}

TEST(Canary, OutputsThatAnotherClusterLosesAreSeen) {
  EXPECT_TRUE(seen([](AnyWorld& any) { any.world.cluster.forgets = true; }, "I1: "));
}

// ---- the log ----

TEST(Canary, ALogThatLeavesOutARecordIsSeen) {
  EXPECT_TRUE(seen([](AnyWorld& any) { any.world.disk.lies.skip_record = 0.1; }, "I1: it was published"));
}

TEST(Canary, ALogThatForgetsWhatItAcknowledgedIsSeen) {
  EXPECT_TRUE(seen([](AnyWorld& any) { any.world.disk.lies.forget_messages = true; }, "I8:"));
}

TEST(Canary, ALogThatDoesNotTellOfGrowthIsSeen) {
  EXPECT_TRUE(seen([](AnyWorld& any) { any.world.disk.lies.mute_watches = true; }, "I7:"));
}

// ---- instances ----

TEST(Canary, AnInstanceThatGoesOnWithAKeyAfterAFailureIsSeen) {
  EXPECT_TRUE(seen([](AnyWorld& any) { any.world.backend_faults.lies.break_chains = true; }, "I3:"));
}

TEST(Canary, AnOutcomeThatIsNeverToldIsSeen) {
  EXPECT_TRUE(seen([](AnyWorld& any) { any.world.backend_faults.lies.lose_outcome = 0.1; }, "I7:"));
}

TEST(Canary, AFailureThatIsCalledASuccessIsSeen) {
  EXPECT_TRUE(
      seen([](AnyWorld& any) { any.world.backend_faults.lies.call_failures_good = true; }, "I1: nobody ran it"));
}

TEST(Canary, ACrashThatIsBlamedOnANeighbourIsSeen) {
  EXPECT_TRUE(seen([](AnyWorld& any) { any.world.backend_faults.lies.blame_neighbours = 0.5; }, "I6:"));
}

TEST(Canary, AnEventThatRunsTwiceIsSeen) {
  EXPECT_TRUE(seen([](AnyWorld& any) { any.world.backend_faults.lies.run_twice = 0.1; }, "I5:"));
}

TEST(Canary, AnInstanceThatStaysIsSeen) {
  EXPECT_TRUE(seen([](AnyWorld& any) { any.world.backend_faults.lies.keep_drained = true; }, "I7:"));
}

TEST(Canary, AnInstanceThatIsSaidToHaveEndedAndLivesIsSeen) {
  EXPECT_TRUE(seen([](AnyWorld& any) { any.world.backend_faults.lies.outlive = 0.2; }, "I10:"));
}

// ---- the loop ----

TEST(Canary, AWakeThatIsDroppedIsSeen) {
  EXPECT_TRUE(
      seen([](AnyWorld& any) { any.with_each_life([](SimServer& server) { server.scheduler.timers_to_drop = 3; }); },
           "I7:"));
}

}  // namespace
}  // namespace dhub::simulation
