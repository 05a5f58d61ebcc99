// SPDX-License-Identifier: Apache-2.0
// Starting, stopping, pausing: the life of a trigger.
#include "tests/simulation/world_test.h"

namespace dhub::simulation {
namespace {

class TriggerTest : public WorldTest {};

TEST_F(TriggerTest, AMessageAfterTheStartIsExecuted) {
  world_.create("p", R"({"event":"orders"})");
  const auto started = world_.start("p");
  ASSERT_TRUE(started) << started.error().message;
  EXPECT_FALSE(started->resumed);
  EXPECT_EQ(started->backlog, 0);
  EXPECT_EQ(started->trigger.generation, Generation{1});
  world_.publish("orders", {"a", "b"}, "k");
  ASSERT_TRUE(world_.run_until_drained("p"));
  EXPECT_EQ(world_.state("p", 0), FinalState::Succeeded);
  EXPECT_EQ(world_.state("p", 1), FinalState::Succeeded);
  EXPECT_EQ(begun("p"), (Offsets{0, 1}));
}

TEST_F(TriggerTest, AStartAsksTheLogOnItsCallersThreadBeforeTheLoopsTurn) {
  world_.create("p", R"({"event":"orders"})");
  world_.triggers().start({"p", std::nullopt, std::nullopt}, [](auto) {});
  EXPECT_NE(world_.disk.topic("orders"), nullptr);
  EXPECT_EQ(world_.position("p"), nullptr);
  ASSERT_TRUE(world_.run_until([&] { return world_.position("p") != nullptr; }));
}

TEST_F(TriggerTest, ATopicOutOfReachIsTriedAgainSoonAndRaisesNoEpoch) {
  world_.create("p", R"({"event":"orders"})");
  start("p");
  ASSERT_TRUE(world_.shut_down(1s));
  const auto epoch = world_.position("p")->epoch;
  world_.disk.faults.refuse_topic = Error{ErrorCode::Unavailable, "The broker cannot be reached.", {}};
  world_.boot();
  world_.run_for(2min);
  EXPECT_FALSE(status("p").ready);
  EXPECT_EQ(world_.position("p")->epoch, epoch);
  world_.disk.faults.refuse_topic.reset();
  EXPECT_TRUE(world_.run_until([&] { return world_.position("p")->epoch > epoch; }, 5s));
  EXPECT_TRUE(status("p").ready);
}

}  // namespace
}  // namespace dhub::simulation
