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
  EXPECT_TRUE(world_.run_until([&] { return status("p").ready; }, 6s));
  EXPECT_EQ(world_.position("p")->epoch, epoch + 1);
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

// ---- what the store takes its time for ----

TEST_F(TriggerTest, WhileTheStoreIsSlowTheLoopGoesOn) {
  world_.create("p", R"({"event":"orders"})");
  world_.create("q", R"({"event":"orders"})", "[]");
  start("q");
  world_.disk.faults.least_delay = 200ms;
  bool started = false;
  world_.triggers().start({"p", std::nullopt, std::nullopt}, [&](const auto& answer) { started = answer.has_value(); });
  const Instant asked = world_.timeline.now().mono;
  EXPECT_TRUE(status("q").ready);
  EXPECT_EQ(world_.timeline.now().mono, asked) << "it is answered in the same moment";
  EXPECT_FALSE(started);
  EXPECT_TRUE(world_.run_until([&] { return started; }, 1s));
}

TEST_F(TriggerTest, AStoreThatDoesNotAnswerLeavesTheOutcomeUnknownAndItIsMadeSoLater) {
  world_.create("p", R"({"event":"orders"})");
  world_.disk.faults.least_delay = 15s;
  const auto started = world_.start("p");
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, ErrorCode::OutcomeUnknown);
  world_.disk.faults.least_delay = {};
  ASSERT_TRUE(world_.run_until([&] { return status("p").ready; }));
  const auto again = world_.start("p");
  ASSERT_TRUE(again) << "repeating is safe";
  EXPECT_EQ(again->trigger.generation, Generation{2});
}

TEST_F(TriggerTest, AStopThatComesWhileItIsLoadedIsAnsweredWhenThatIsOver) {
  world_.create("p", R"({"event":"orders"})");
  start("p");
  ASSERT_TRUE(world_.shut_down(1s));
  world_.boot();
  const auto epoch = world_.position("p")->epoch;
  bool stopped = false;
  ASSERT_TRUE(world_.run_until([&] { return status("p").conditions.front().reason == "Starting"; }));
  world_.triggers().stop("p", false, [&](const auto& answer) { stopped = answer.has_value(); });
  ASSERT_TRUE(world_.run_until([&] { return stopped; }));
  world_.run_for(1min);
  EXPECT_EQ(condition(status("p"), "Source").reason, "Stopped");
  EXPECT_TRUE(world_.position("p")->clean) << "nothing of it has run";
  EXPECT_LE(world_.position("p")->epoch, epoch + 1);
}

TEST_F(TriggerTest, AStartFromElsewhereThatComesWhileItIsLoadedCounts) {
  world_.create("p", R"({"event":"orders"})");
  world_.publish("orders", {"a", "b"});
  start("p", StartFrom::Latest);
  ASSERT_TRUE(world_.shut_down(1s));
  world_.disk.faults.least_delay = 50ms;
  world_.boot();
  start("p", StartFrom::Earliest);
  ASSERT_TRUE(world_.run_until_drained("p"));
  ASSERT_TRUE(world_.run_until([&] { return world_.state("p", 1) == FinalState::Succeeded; }));
  EXPECT_EQ(begun("p"), (Offsets{0, 1}));
}

TEST_F(TriggerTest, ManyAreBroughtBackInTheTimeOfOne) {
  for (int i = 0; i < 50; ++i) {
    const std::string id = "p" + std::to_string(i);
    world_.create(id, R"({"event":"orders"})", "[]");
    start(id);
  }
  ASSERT_TRUE(world_.shut_down(1s));
  world_.disk.faults.least_delay = 200ms;  // of each write, however many wait with it
  world_.boot();
  const Instant booted = world_.timeline.now().mono;
  ASSERT_TRUE(world_.run_until([&] { return status("p49").ready && status("p0").ready; }));
  EXPECT_LT(world_.timeline.now().mono - booted, 700ms) << "rows, versions, positions: each one turn of the store";
}

}  // namespace
}  // namespace dhub::simulation
