// SPDX-License-Identifier: Apache-2.0
// How work is shared out among instances, and what the engine says of itself.
#include "delivery/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "delivery/engine_script.h"

namespace dhub::delivery {
namespace {

using testing::IsEmpty;

TEST(Engine, LoneEventGoesOutAtOnce) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("a1");
  EXPECT_EQ(script.sent(), "1:a1");
}

TEST(Engine, EventsWaitForAnInstance) {
  EngineScript script;
  script.start();
  script.publish("a1 b1");
  EXPECT_EQ(script.sent(), "");
  EXPECT_EQ(script.engine().demand().runnable, 2);
  script.ready(1);
  EXPECT_EQ(script.sent(), "1:a1,b1");
  EXPECT_EQ(script.engine().demand().runnable, 0);
  EXPECT_EQ(script.engine().demand().in_flight, 2);
}

TEST(Engine, IdleInstancesShareWhatIsReady) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.ready(2);
  script.ready(3);
  script.publish("-1 -2 -3 -4 -5");
  EXPECT_EQ(script.sent(), "1:-1,-2 2:-3,-4 3:-5");
}

TEST(Engine, BusyInstanceGetsOneFrameAhead) {
  EngineScript script;
  script.settings.limits.frame_events = 2;
  script.start();
  script.ready(1);
  script.publish("-1");
  script.publish("-2 -3 -4 -5");
  EXPECT_EQ(script.sent(), "1:-1 1:-2,-3") << "and not more, so that a new instance finds work";
  EXPECT_EQ(script.engine().outstanding(InstanceId{1}), 3U);
}

TEST(Engine, FrameIsSizedByMeasuredWork) {
  EngineScript script;
  script.settings.limits.frame_work = milliseconds(20);
  script.start();
  script.publish("-1 -2 -3 -4 -5 -6 -7");
  script.ready(1);
  EXPECT_EQ(script.sent(), "1:-1,-2") << "10 ms each until measured";
  auto slow = EngineScript::outcome_of("ok");
  slow.duration_us = 5000;
  script.answer("-1", slow);
  EXPECT_EQ(script.engine().demand().service_time, Duration(milliseconds(5)));
  EXPECT_EQ(script.sent(), "1:-3,-4,-5,-6") << "20 ms of 5 ms each";
}

TEST(Engine, FrameIsClosedAtItsBytes) {
  EngineScript script;
  script.settings.limits.frame_bytes = 100;
  script.settings.current.max_instances = 1;
  script.start();
  for (int i = 0; i < 4; ++i) script.append({std::nullopt, {}, std::string(60, static_cast<char>('a' + i)), {}});
  script.read();
  script.ready(1);
  const auto frames = words(script.sent());
  ASSERT_FALSE(frames.empty());
  EXPECT_EQ(words(frames[0], ',').size(), 2U);
}

TEST(Engine, EventLargerThanAFrameGoesAlone) {
  EngineScript script;
  script.settings.limits.frame_bytes = 100;
  script.start();
  script.append({std::nullopt, {}, std::string(1000, 'x'), {}});
  script.read();
  script.ready(1);
  EXPECT_EQ(script.engine().demand().in_flight, 1);
}

TEST(Engine, DueRetriesGoBeforeFirstAttempts) {
  EngineScript script;
  script.settings.limits.frame_events = 1;
  script.start();
  script.ready(1);
  script.publish("-1");
  script.answer("-1 failed");
  script.store_all();
  script.ended(1);
  script.publish("-2 -3");
  script.wait(kSecond);
  script.sent();
  script.ready(2);
  EXPECT_EQ(script.sent(), "2:-1#2");
}

TEST(Engine, WhatIsBegunAndNotStoredStaysWithinTheBound) {
  EngineScript script;
  script.settings.limits.frame_events = 2;
  script.settings.current.max_instances = 1;
  script.start();
  ASSERT_EQ(script.engine().in_flight_bound(), 4);
  script.ready(1);
  script.publish("-1 -2 -3 -4 -5 -6 -7 -8 -9");
  script.answer("-1 ok, -2 ok");
  ASSERT_TRUE(script.has_commit());
  script.answer("-3 ok, -4 ok");
  script.sent();
  EXPECT_EQ(script.engine().demand().in_flight, 0) << "four results wait for the journal";
  script.store();
  EXPECT_EQ(script.sent(), "1:-5,-6");
  script.answer("-5 not_started, -6 not_started");
  EXPECT_EQ(script.sent(), "1:-5,-6");
}

TEST(Engine, RidersCountAgainstTheBound) {
  EngineScript script;
  script.settings.limits.frame_events = 2;
  script.settings.current.max_instances = 1;
  script.start();
  script.publish("a1 a2 a3 a4 a5 a6 b1 b2 b3 b4 b5 b6");
  for (std::uint64_t i = 1; i <= 4; ++i) script.ready(i);
  EXPECT_LE(script.engine().demand().in_flight, script.engine().in_flight_bound());
}

TEST(Engine, PausedDispatchesNothingButStoresWhatComesBack) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("a1");
  script.sent();
  script.pause(true);
  script.publish("b1");
  EXPECT_EQ(script.sent(), "");
  EXPECT_EQ(script.engine().demand().runnable, 0) << "no instance is wanted for it";
  script.answer("a1 ok");
  script.store_all();
  EXPECT_EQ(script.state(0), "succeeded");
  EXPECT_TRUE(script.engine().drained());
  script.pause(false);
  EXPECT_EQ(script.sent(), "1:b1");
}

TEST(Engine, PausedNeedsNoTimerForRetries) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("a1");
  script.answer("a1 failed");
  script.store_all();
  ASSERT_TRUE(script.engine().wake_at().has_value());
  script.pause(true);
  EXPECT_FALSE(script.engine().wake_at().has_value());
  script.wait(5 * kSecond);
  script.sent();
  script.pause(false);
  EXPECT_EQ(script.sent(), "1:a1#2");
}

TEST(Engine, EmptyStepsNeedNoInstance) {
  EngineScript script;
  script.settings.current.step_names.clear();
  script.start();
  script.publish("a1 a2 -3");
  ASSERT_TRUE(script.has_commit());
  script.store_all();
  EXPECT_EQ(script.journal.cursor(), 3);
  EXPECT_EQ(script.state(1), "succeeded");
  EXPECT_EQ(script.engine().tally().succeeded, 3);
  EXPECT_EQ(script.sent(), "");
}

TEST(Engine, EmptyStepsStopAtPauseToo) {
  EngineScript script;
  script.settings.current.step_names.clear();
  script.start();
  script.pause(true);
  script.publish("a1");
  EXPECT_FALSE(script.has_commit());
  script.pause(false);
  script.store_all();
  EXPECT_EQ(script.state(0), "succeeded");
}

TEST(Engine, DemandTellsRunnableBlockedAndRetrying) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("c1");
  script.answer("c1 failed");
  script.store_all();
  script.ended(1);
  script.publish("a1 a2 a3 b1 c2");
  const auto demand = script.engine().demand();
  EXPECT_EQ(demand.runnable, 2) << "a1, b1";
  EXPECT_EQ(demand.blocked, 3) << "a2, a3, c2";
  EXPECT_EQ(demand.retrying, 1) << "c1";
  EXPECT_EQ(demand.in_flight, 0);
}

TEST(Engine, ViewTellsAPartition) {
  EngineScript script(script_settings(), 2);
  script.start();
  script.ready(1);
  script.publish("a1 b1 c1", 1);
  script.answer("a1 ok, b1 failed");
  script.store_all();
  script.publish("b2", 1);
  const auto view = script.engine().view(PartitionId{1});
  EXPECT_EQ(view.cursor, Offset{1});
  EXPECT_EQ(view.next_read, Offset{4});
  EXPECT_EQ(view.in_flight, 1);
  EXPECT_EQ(view.retrying, 1);
  EXPECT_EQ(view.waiting, 1);
  EXPECT_FALSE(view.window_full);
  EXPECT_EQ(script.engine().view(PartitionId{0}).in_flight, 0);
}

TEST(Engine, RetryThatRunsIsInFlightAndNotRetrying) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("a1 a2 b1");
  script.answer("a1 failed, a2 not_started, b1 ok");
  script.store_all();
  EXPECT_EQ(script.engine().view(PartitionId{0}).retrying, 1);
  EXPECT_EQ(script.engine().view(PartitionId{0}).waiting, 1) << "a2";
  script.wait(kSecond);
  const auto view = script.engine().view(PartitionId{0});
  EXPECT_EQ(view.retrying, 0);
  EXPECT_EQ(view.in_flight, 2) << "a1 and a2 behind it";
  EXPECT_EQ(view.waiting, 0);
}

TEST(Engine, OutstandingIsKnownPerInstance) {
  EngineScript script;
  script.start();
  EXPECT_FALSE(script.engine().outstanding(InstanceId{1}).has_value());
  script.ready(1);
  EXPECT_EQ(script.engine().outstanding(InstanceId{1}), 0U);
  script.publish("-1 -2");
  EXPECT_EQ(script.engine().outstanding(InstanceId{1}), 2U);
  script.answer("-1 ok, -2 not_started");
  EXPECT_EQ(script.engine().outstanding(InstanceId{1}), 1U) << "-2 went out again";
  script.ended(1);
  EXPECT_FALSE(script.engine().outstanding(InstanceId{1}).has_value());
}

TEST(Engine, DetailsOfSuccessesKeepToTheirBudgetAndFailuresAreAlwaysTold) {
  EngineScript script;
  script.settings.limits.details_per_second = 2;
  script.start();
  script.ready(1);
  script.publish("-1 -2 -3 -4 -5 -6");
  script.answer("-1 ok, -2 ok, -3 ok, -4 filtered, -5 failed, -6 rejected");
  std::vector<OutcomeKind> kinds;
  for (const auto& detail : script.details) kinds.push_back(detail.kind);
  EXPECT_THAT(kinds, testing::ElementsAre(OutcomeKind::Succeeded, OutcomeKind::Succeeded, OutcomeKind::Failed,
                                          OutcomeKind::Rejected));
}

TEST(Engine, DetailTellsWhoRanWhat) {
  EngineScript script;
  script.start();
  script.ready(7);
  script.publish("a1");
  auto failed = EngineScript::outcome_of("failed");
  failed.step = 1;
  failed.duration_us = 30'000;
  failed.log = "printed";
  failed.trace = "line 3";
  script.answer("a1", failed);
  ASSERT_EQ(script.details.size(), 1U);
  const auto& detail = script.details[0];
  EXPECT_EQ(detail.run, (RunId{Pass{1}, PartitionId{0}, Offset{0}}));
  EXPECT_EQ(detail.attempt, 1);
  EXPECT_EQ(detail.delivery, script.last("a1").id);
  EXPECT_EQ(detail.instance, InstanceId{7});
  EXPECT_EQ(detail.started_at.ms, script.now.wall.ms - 30);
  EXPECT_EQ(detail.step, "second");
  EXPECT_EQ(detail.error, "error: failed");
  EXPECT_EQ(detail.log, "printed");
  EXPECT_EQ(detail.trace, "line 3");
  EXPECT_EQ(detail.key, "a");
}

TEST(Engine, TallyCounts) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("-1 -2 -3 -4");
  script.logs[0].skip(1);
  script.read();
  script.answer("-1 ok, -2 filtered, -3 failed, -4 rejected");
  script.store_all();
  const auto& tally = script.engine().tally();
  EXPECT_EQ(tally.succeeded, 1);
  EXPECT_EQ(tally.filtered, 1);
  EXPECT_EQ(tally.failed_attempts, 2);
  EXPECT_EQ(tally.dead_lettered, 1);
  EXPECT_EQ(tally.absent, 1);
}

TEST(Engine, PartitionsAreListedInOrder) {
  EngineScript script(script_settings(), 3);
  script.start();
  EXPECT_THAT(script.engine().partitions(), testing::ElementsAre(PartitionId{0}, PartitionId{1}, PartitionId{2}));
  EXPECT_EQ(script.engine().backlog().index_of(PartitionId{9}), std::nullopt);
}

// ---- events that take long ----

class EngineLong : public testing::Test {
 protected:
  EngineLong() {
    script.settings.limits.long_event = milliseconds(100);
    script.start();
    script.ready(1);
    script.publish("-0");
    script.answer("-0 ok");  // 100 us are measured
    script.store_all();
    script.publish("-1");
    script.sent();
  }
  EngineScript script;
};

// RecallClaim
TEST_F(EngineLong, WhatHasNotBegunIsTakenBackWhenAnotherCouldTakeIt) {
  script.publish("-2 -3");
  EXPECT_EQ(script.sent(), "1:-2,-3");
  script.wait(milliseconds(100));
  EXPECT_EQ(script.recalled(), "") << "nobody else is there";
  EXPECT_EQ(script.engine().demand().runnable, 2) << "another instance would help";
  EXPECT_EQ(script.engine().demand().held_up, 1);
  script.ready(2);
  EXPECT_EQ(script.recalled(), "1");
  EXPECT_EQ(script.sent(), "") << "dispatched anew only after not_started";
  script.answer("-2 not_started, -3 not_started");
  EXPECT_EQ(script.sent(), "2:-2,-3");
}

TEST_F(EngineLong, GetsNothingMoreUntilItIsOver) {
  script.wait(milliseconds(100));
  script.publish("-2");
  EXPECT_EQ(script.sent(), "");
  script.answer("-1 ok");
  EXPECT_EQ(script.sent(), "1:-2");
  EXPECT_EQ(script.engine().demand().held_up, 0);
}

TEST_F(EngineLong, IsAskedOnceForEachTimeThatItIsHeldUp) {
  script.publish("-2");
  script.ready(2);
  script.wait(milliseconds(100));
  EXPECT_EQ(script.recalled(), "1");
  script.wait(milliseconds(300));
  EXPECT_EQ(script.recalled(), "");
}

TEST_F(EngineLong, EventsThatAreAllSlowHoldNobodyUp) {
  auto slow = EngineScript::outcome_of("ok");
  slow.duration_us = 300'000;
  script.answer("-1", slow);
  script.store_all();
  for (int i = 2; i < 40; ++i) {
    script.publish(fmt::format("-{}", i));
    script.answer(fmt::format("-{}", i), slow);
    script.store_all();
  }
  script.publish("-40");
  script.wait(milliseconds(150));
  EXPECT_EQ(script.engine().demand().held_up, 0);
}

}  // namespace
}  // namespace dhub::delivery
