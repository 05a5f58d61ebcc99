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

class TriggerMetricsTest : public TriggerTest {
 protected:
  std::string shown() { return world_.server().metrics.render(); }
  static constexpr const char* kLag = "dhub_trigger_lag_messages{pipeline=\"p\"}";
};

TEST_F(TriggerMetricsTest, ATriggersMetricsEndWithIt) {
  const std::string before = shown();
  for (int i = 0; i < 5; ++i) {
    const std::string id = "p" + std::to_string(i);
    world_.create(id, R"({"event":"orders"})");
    start(id);
    world_.publish("orders", {"a"});
    ASSERT_TRUE(world_.run_until_drained(id));
    EXPECT_NE(shown().find("dhub_events_finished_total{pipeline=\"" + id + "\",state=\"succeeded\"} 1\n"),
              std::string::npos);
    ASSERT_TRUE(world_.stop(id));
    ASSERT_TRUE(world_.run_until([&] { return world_.alive(id) == 0; }));
    ASSERT_TRUE(world_.server().catalog.delete_pipeline(id, true, std::nullopt));
  }
  EXPECT_EQ(shown(), before);
}

// An alarm on the lag of a trigger that somebody has stopped would never end.
TEST_F(TriggerMetricsTest, AStoppedTriggerShowsNoLagAndAPausedOneDoes) {
  world_.create("p", R"({"event":"orders"})");
  start("p");
  ASSERT_TRUE(world_.pause("p"));
  world_.publish("orders", {"a", "b"});
  world_.run_for(1s);
  EXPECT_NE(shown().find(std::string(kLag) + " 2\n"), std::string::npos) << shown();
  ASSERT_TRUE(world_.stop("p"));
  EXPECT_EQ(shown().find(kLag), std::string::npos) << shown();
}

// It is still to run, and its lag is worth an alarm the more.
TEST_F(TriggerMetricsTest, ATriggerThatCannotRunKeepsItsMetrics) {
  world_.create("p", R"({"event":"orders"})");
  start("p");
  world_.publish("orders", {"a"});
  ASSERT_TRUE(world_.run_until_drained("p"));
  world_.disk.faults.refuse_loads = Error{ErrorCode::Unavailable, "The disk is busy.", {}};
  world_.put("p", R"({"event":"elsewhere"})", SimWorld::kOtherStep);
  (void)world_.start("p");
  world_.run_for(10s);
  EXPECT_FALSE(status("p").ready);
  EXPECT_NE(shown().find("dhub_events_finished_total{pipeline=\"p\",state=\"succeeded\"} 1\n"), std::string::npos);
  ASSERT_TRUE(world_.stop("p"));
  EXPECT_EQ(shown().find(kLag), std::string::npos);
}

}  // namespace
}  // namespace dhub::simulation
