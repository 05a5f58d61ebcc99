// SPDX-License-Identifier: Apache-2.0
// That the simulated position is repeatable, and the proof that its judge sees: each rule of the world is broken once.
#include <gtest/gtest.h>

#include "delivery/sim_position.h"

namespace dhub::delivery {
namespace {

SimSettings small_world() {
  SimSettings settings;
  settings.engine.topic = "orders";
  settings.engine.current.version = Version{1};
  settings.engine.current.step_names = {"first", "second"};
  settings.engine.current.retry = {2, Backoff::Constant, milliseconds(500), milliseconds(500), false, false};
  settings.engine.current.dead_letter_topic = "dead";
  settings.engine.current.max_instances = 2;
  settings.engine.limits.frame_events = 3;
  settings.engine.limits.frame_work = milliseconds(100);
  settings.engine.limits.reserve_step = 4;
  return settings;
}

struct Played {
  std::string verdict;
  std::vector<std::string> trace;
};

Played play(const SimSettings& settings, std::uint64_t seed) {
  SimPosition position(settings, seed);
  Random choices(seed + 1'000'000);
  for (int i = 0; i < 150 && position.verdict().empty(); ++i)
    position.step(static_cast<std::uint32_t>(choices.below(1 << 20)));
  if (position.verdict().empty()) position.heal();
  return {position.verdict(), position.trace()};
}

// The first verdict that begins with one of `expected` in up to 3000 seeds.
std::string first_blame(const SimSettings& settings, const std::vector<std::string>& expected) {
  std::string others;
  for (std::uint64_t seed = 1; seed <= 3000; ++seed) {
    const auto verdict = play(settings, seed).verdict;
    if (verdict.empty()) continue;
    for (const auto& start : expected)
      if (verdict.starts_with(start)) return start;
    others = verdict;
  }
  return "only: " + others;
}

TEST(SimPosition, SameSeedIsTheSameTrace) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const auto first = play(small_world(), seed);
    EXPECT_EQ(first.trace, play(small_world(), seed).trace) << seed;
    EXPECT_EQ(first.verdict, "") << seed;
    EXPECT_GT(first.trace.size(), 50U);
  }
  EXPECT_NE(play(small_world(), 1).trace, play(small_world(), 2).trace);
}

TEST(SimPosition, TrueWorldIsNeverBlamed) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    const auto played = play(small_world(), seed);
    std::string trace;
    if (!played.verdict.empty())
      for (const auto& line : played.trace) trace += line + "\n";
    ASSERT_EQ(played.verdict, "") << "seed " << seed << "\n" << trace;
  }
}

// ---- canaries: one rule of the world is broken, the judge must see it ----

TEST(SimCanary, WithoutFenceAStaleOwnerCommits) {
  auto world = small_world();
  world.rules.journal.fence = false;
  world.rules.journal.seq_check = false;
  EXPECT_EQ(first_blame(world, {"I9"}), "I9");
}

TEST(SimCanary, WithoutSeqCheckALateCommitAppliesTwice) {
  auto world = small_world();
  world.rules.journal.seq_check = false;
  EXPECT_EQ(first_blame(world, {"I1"}), "I1");
}

TEST(SimCanary, WithoutSameBatchAnOutcomeIsLost) {
  auto world = small_world();
  world.rules.same_batch = false;
  EXPECT_EQ(first_blame(world, {"I4", "I1"}).substr(0, 1), "I");
}

TEST(SimCanary, WithoutLeaseWaitRunsOverlap) {
  auto world = small_world();
  world.rules.lease_wait = false;
  EXPECT_EQ(first_blame(world, {"I3"}), "I3");
}

TEST(SimCanary, WithoutHostWaitRunsOverlap) {
  auto world = small_world();
  world.rules.host_wait = false;
  EXPECT_EQ(first_blame(world, {"I3"}), "I3");
}

TEST(SimCanary, WithoutPageNamesAnInnocentIsCharged) {
  auto world = small_world();
  world.rules.page_names = false;
  EXPECT_EQ(first_blame(world, {"I6"}), "I6");
}

TEST(SimCanary, WithoutRecallTheOldVersionGoesOn) {
  auto world = small_world();
  world.rules.recalls_heard = false;
  EXPECT_EQ(first_blame(world, {"ChainCut"}), "ChainCut");
}

TEST(SimCanary, WithoutAStoredReservationDispatchPassesIt) {
  auto world = small_world();
  world.rules.reservation_kept = false;
  EXPECT_EQ(first_blame(world, {"ReserveFirst"}), "ReserveFirst");
}

TEST(SimCanary, OutcomesOutOfOrderBreakTheOrderOfAKey) {
  auto world = small_world();
  world.rules.outcomes_in_order = false;
  EXPECT_EQ(first_blame(world, {"I3"}), "I3");
}

TEST(SimCanary, WithAFalseLogStartEventsAreWrittenOff) {
  auto world = small_world();
  world.rules.log_start_true = false;
  EXPECT_EQ(first_blame(world, {"ExpireGone"}), "ExpireGone");
}

TEST(SimCanary, WithoutLoadedFailuresChargesAreForgotten) {
  auto world = small_world();
  world.rules.failures_loaded = false;
  EXPECT_EQ(first_blame(world, {"I6"}), "I6");
}

TEST(SimCanary, OutcomesUnderAnothersNumberAreSeen) {
  auto world = small_world();
  world.rules.results_named = false;
  EXPECT_NE(first_blame(world, {"I6", "I3", "Out"}).substr(0, 4), "only");
}

}  // namespace
}  // namespace dhub::delivery
