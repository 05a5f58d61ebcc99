// SPDX-License-Identifier: Apache-2.0
// Which event may run when: keys, chains, versions.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "delivery/engine_script.h"

namespace dhub::delivery {
namespace {

using testing::IsEmpty;

EngineSettings ordered(Ordering ordering) {
  auto settings = script_settings();
  settings.ordering = ordering;
  return settings;
}

// Frames of one event, so that what may start and what rides along are told apart.
EngineSettings one_by_one() {
  auto settings = script_settings();
  settings.limits.frame_events = 1;
  return settings;
}

TEST(EngineOrder, SecondOfKeyWaitsForTheFirstOnesSuccess) {
  EngineScript script(one_by_one());
  script.start();
  script.ready(1);
  script.ready(2);
  script.publish("a1 a2 b1");
  EXPECT_EQ(script.sent(), "1:a1 2:b1");
  script.answer("b1 ok");
  EXPECT_EQ(script.sent(), "") << "a2 waits though instance 2 is idle";
  script.answer("a1 ok");
  EXPECT_EQ(script.sent(), "1:a2") << "received is enough: the success of a1 is not stored yet";
}

TEST(EngineOrder, FilteredLetsTheKeyGoOn) {
  EngineScript script(one_by_one());
  script.start();
  script.ready(1);
  script.publish("a1 a2");
  script.sent();
  script.answer("a1 filtered");
  EXPECT_EQ(script.sent(), "1:a2");
}

// RetryHoldsKey
TEST(EngineOrder, StoredFailureKeepsTheKeyUntilTheRetrySucceeds) {
  EngineScript script(one_by_one());
  script.start();
  script.ready(1);
  script.publish("a1 a2");
  script.sent();
  script.answer("a1 failed");
  EXPECT_EQ(script.sent(), "");
  script.store_all();
  EXPECT_EQ(script.sent(), "") << "a stored failure is not final";
  script.wait(kSecond);
  EXPECT_EQ(script.sent(), "1:a1#2") << "only its own retry may start";
  script.answer("a1 ok");
  EXPECT_EQ(script.sent(), "1:a2");
}

TEST(EngineOrder, KeyGoesOnOnlyAfterTheDeadLetterIsStored) {
  EngineScript script(one_by_one());
  script.start();
  script.ready(1);
  script.publish("a1 a2");
  script.sent();
  script.answer("a1 rejected");
  EXPECT_EQ(script.sent(), "") << "the dead letter is not stored yet";
  script.store();
  EXPECT_EQ(script.sent(), "1:a2");
}

TEST(EngineOrder, KeysRunInParallel) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.ready(2);
  script.publish("a1 b1");
  EXPECT_EQ(script.sent(), "1:a1 2:b1");
}

TEST(EngineOrder, EmptyKeyIsAKey) {
  EngineScript script(one_by_one());
  script.start();
  script.ready(1);
  script.ready(2);
  script.publish("_1 _2");
  EXPECT_EQ(script.sent(), "1:_1");
  script.answer("_1 ok");
  EXPECT_EQ(script.sent(), "1:_2");
}

TEST(EngineOrder, NoKeyIsUnconstrained) {
  EngineScript script(one_by_one());
  script.start();
  script.ready(1);
  script.ready(2);
  script.publish("-1 -2");
  EXPECT_EQ(script.sent(), "1:-1 2:-2");
}

TEST(EngineOrder, OrderingNoneIgnoresKeys) {
  auto settings = ordered(Ordering::None);
  settings.limits.frame_events = 1;
  EngineScript script(settings);
  script.start();
  script.ready(1);
  script.ready(2);
  script.publish("a1 a2");
  EXPECT_EQ(script.sent(), "1:a1 2:a2");
}

TEST(EngineOrder, OrderingPartitionTakesThePartitionForOneKey) {
  auto settings = ordered(Ordering::Partition);
  settings.limits.frame_events = 1;
  EngineScript script(settings, 2);
  script.start();
  script.ready(1);
  script.ready(2);
  script.publish("a1 -2", 0);
  EXPECT_EQ(script.sent(), "1:a1") << "-2 waits, even without a key";
  script.publish("a3", 1);
  EXPECT_EQ(script.sent(), "2:a3") << "another partition is another lane, even for the same key";
  script.answer("a1 ok");
  EXPECT_EQ(script.sent(), "1:-2");
}

TEST(EngineOrder, SameKeyOfTwoPartitionsAreTwoLanes) {
  EngineScript script(one_by_one(), 2);
  script.start();
  script.ready(1);
  script.ready(2);
  script.publish("a1", 0);
  script.publish("a2", 1);
  EXPECT_EQ(script.sent(), "1:a1 2:a2");
}

TEST(EngineOrder, KeyOfFinishedEventIsFreeAgain) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("a1");
  script.answer("a1 ok");
  script.store_all();
  script.sent();
  script.publish("a2");
  EXPECT_EQ(script.sent(), "1:a2");
}

// ---- chains ----

TEST(EngineChain, EventsOfOneKeyTravelTogetherInOrder) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("a1 b1 a2 a3");
  EXPECT_EQ(script.sent(), "1:a1,a2,a3,b1");
  EXPECT_EQ(script.last("a1").chain, script.last("a3").chain);
  EXPECT_NE(script.last("a1").chain, 0);
  EXPECT_NE(script.last("a1").chain, script.last("b1").chain);
}

TEST(EngineChain, KeylessEventsHaveNoChain) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("-1 -2");
  EXPECT_EQ(script.last("-1").chain, 0);
  EXPECT_EQ(script.last("-2").chain, 0);
}

TEST(EngineChain, NoRidersWhenAnInstanceRunsSeveralAtATime) {
  auto settings = script_settings();
  settings.current.concurrency = 2;
  EngineScript script(settings);
  script.start();
  script.ready(1);
  script.publish("a1 a2 b1");
  EXPECT_EQ(script.sent(), "1:a1,b1") << "the instance would run a1 and a2 at the same time";
}

TEST(EngineChain, RestAfterAFailureGoesOutAgainInOrderAfterIt) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("a1 a2 a3");
  script.sent();
  script.answer("a1 failed, a2 not_started, a3 not_started");
  script.store_all();
  EXPECT_EQ(script.sent(), "");
  script.wait(kSecond);
  EXPECT_EQ(script.sent(), "1:a1#2,a2,a3") << "a2 and a3 are at their first attempt: not_started is not charged";
}

// PageNames: the outcome of the one that the page names is charged, the others of the frame are not.
TEST(EngineChain, DeathChargesOnlyTheEventThatRan) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("-1 -2 -3");
  script.sent();
  script.answer("-1 ok, -2 crashed, -3 not_started");
  script.ended(1);
  script.store_all();
  EXPECT_EQ(script.journal.charged({0, 1}), 1);
  EXPECT_EQ(script.journal.charged({0, 2}), 0);
  script.ready(2);
  EXPECT_EQ(script.sent(), "2:-3");
  EXPECT_EQ(script.last("-3").attempt, 1);
}

TEST(EngineChain, DeadInstanceGetsNothingMoreBeforeItsEnd) {
  for (const char* death : {"crashed", "timed_out", "oom"}) {
    EngineScript script;
    script.start();
    script.ready(1);
    script.publish("-1 -2");
    script.sent();
    script.answer(fmt::format("-1 {}, -2 not_started", death));
    EXPECT_EQ(script.sent(), "") << death;
  }
}

TEST(EngineChain, NotStartedGoesBackInItsOrder) {
  auto settings = script_settings();
  settings.limits.frame_events = 2;
  EngineScript script(settings);
  script.start();
  script.ready(1);
  script.publish("-1 -2 -3");
  EXPECT_EQ(script.sent(), "1:-1,-2");
  script.pause(true);
  script.answer("-1 not_started, -2 not_started");
  script.ready(2);
  script.pause(false);
  EXPECT_EQ(script.sent(), "1:-1,-2 2:-3");
}

TEST(EngineChain, HeadThatSucceedsLetsTheNotStartedRestGoOn) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("a1 a2 a3");
  script.sent();
  script.answer("a1 ok, a2 not_started, a3 not_started");
  EXPECT_EQ(script.sent(), "1:a2,a3");
}

TEST(EngineChain, EventThatHasFailedBeforeDoesNotRideAlong) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("a1 a2");
  script.sent();
  script.answer("a1 ok, a2 failed");
  script.store_all();
  script.start();  // a1 was stored with it; a2 waits for its retry
  script.ready(2);
  script.read();
  EXPECT_EQ(script.sent(), "");
  script.wait(kSecond);
  EXPECT_EQ(script.sent(), "2:a2#2");
}

// ---- deliveries that came back without an outcome ----

TEST(EngineOrder, HostLossRunsAgainUnchargedInOrder) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("a1 a2 b1");
  EXPECT_EQ(script.sent(), "1:a1,a2,b1");
  const auto before = script.last("a1").id;
  script.ended(1);
  script.ready(2);
  EXPECT_EQ(script.sent(), "2:a1,a2,b1");
  EXPECT_EQ(script.last("a1").attempt, 1);
  EXPECT_GT(script.last("a1").id, before) << "delivery numbers rise";
}

TEST(EngineOrder, OutcomeOfALostDeliveryIsDropped) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("a1");
  const auto old = script.last("a1");
  script.ended(1);
  script.ready(2);
  Outcome late = EngineScript::outcome_of("ok");
  late.delivery = old.id;
  script.answer(1, {late});
  EXPECT_FALSE(script.has_commit()) << "the number is not in flight any more";
  late.delivery = script.last("a1").id;
  script.answer(1, {late});
  EXPECT_FALSE(script.has_commit()) << "in flight, but at instance 2";
  script.answer("a1 ok");
  script.store_all();
  EXPECT_EQ(script.state(0), "succeeded");
}

TEST(EngineOrder, SameOutcomeTwiceCountsOnce) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("a1 a2");
  script.answer("a1 ok");
  script.answer("a1 ok");
  script.answer("a1 failed");
  script.store_all();
  EXPECT_EQ(script.engine().tally().succeeded, 1);
  EXPECT_EQ(script.engine().tally().failed_attempts, 0);
  EXPECT_THAT(script.journal.blames(), IsEmpty());
}

TEST(EngineOrder, OutcomesOfAFormerOwnerAreDropped) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("a1");
  const auto old = script.last("a1").id;
  script.start();
  script.ready(1);
  script.read();
  EXPECT_NE(script.last("a1").id, old) << "the number carries the owner's epoch";
  Outcome late = EngineScript::outcome_of("ok");
  late.delivery = old;
  script.answer(1, {late});
  EXPECT_FALSE(script.has_commit());
}

// ---- versions ----

VersionSettings version(std::int32_t number) {
  auto settings = script_settings().current;
  settings.version = Version{number};
  return settings;
}

// ChainCut
TEST(EngineSwitch, RecallsWhatIsAtInstancesOfTheOldVersion) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.ready(2);
  script.publish("a1 a2");
  EXPECT_EQ(script.sent(), "1:a1,a2");
  script.switch_to(version(2));
  EXPECT_EQ(script.recalled(), "1") << "instance 2 is idle";
}

// ChainCut
TEST(EngineSwitch, RestOfTheChainIsSentAgainOnlyAfterNotStarted) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("a1 a2 a3");
  script.sent();
  script.switch_to(version(2));
  script.ready(2, 2);
  EXPECT_EQ(script.sent(), "");
  script.answer("a2 not_started, a3 not_started");
  EXPECT_EQ(script.sent(), "") << "a1 has begun and finishes on the version it began with";
  script.answer("a1 ok");
  EXPECT_EQ(script.sent(), "2:a2,a3");
}

TEST(EngineSwitch, OldInstancesGetNothingMore) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.switch_to(version(2));
  script.publish("a1");
  EXPECT_EQ(script.sent(), "");
  script.ready(2, 2);
  EXPECT_EQ(script.sent(), "2:a1");
}

TEST(EngineSwitch, InstanceThatWasReadyTooLateGetsNothing) {
  EngineScript script;
  script.start();
  script.switch_to(version(2));
  script.ready(1, 1);
  script.publish("a1");
  EXPECT_EQ(script.sent(), "");
}

TEST(EngineSwitch, NextAttemptRunsOnTheNewVersionFromTheFirstStep) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("a1");
  auto failed = EngineScript::outcome_of("failed");
  failed.step = 1;
  failed.results = "stored";
  script.answer("a1", failed);
  script.store_all();
  script.switch_to(version(2));
  script.ready(2, 2);
  script.wait(kSecond);
  EXPECT_EQ(script.last("a1").instance, 2U);
  EXPECT_EQ(script.last("a1").attempt, 2) << "charges outlive versions";
  EXPECT_EQ(script.last("a1").step, 0);
  EXPECT_EQ(script.last("a1").results, "") << "results count only for the version that made them";
}

TEST(EngineSwitch, DetailsNameTheStepOfTheVersionThatRan) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("a1");
  auto next = version(2);
  next.step_names = {"other", "another"};
  script.switch_to(next);
  auto failed = EngineScript::outcome_of("rejected");
  failed.step = 1;
  script.answer("a1", failed);
  script.store_all();
  ASSERT_EQ(script.details.size(), 1U);
  EXPECT_EQ(script.details[0].step, "second");
  EXPECT_EQ(script.details[0].version, Version{1});
  ASSERT_EQ(script.journal.dead_letters().size(), 1U);
  EXPECT_EQ(script.journal.dead_letters()[0].step, "second");
  EXPECT_EQ(script.journal.dead_letters()[0].version, Version{1});
}

TEST(EngineSwitch, ToEmptyStepsFinishesWhatWaits) {
  EngineScript script;
  script.start();
  script.publish("a1 a2");
  auto empty = version(2);
  empty.step_names.clear();
  script.switch_to(empty);
  script.store_all();
  EXPECT_EQ(script.state(0), "succeeded");
  EXPECT_EQ(script.state(1), "succeeded");
}

TEST(EngineSwitch, FromEmptyStepsReservesBeforeTheFirstDispatch) {
  auto settings = script_settings();
  settings.current.step_names.clear();
  settings.limits.reserve_step = 2;
  EngineScript script(settings);
  script.start();
  script.publish("a1 a2 a3 a4 a5 a6");
  script.store_all();
  EXPECT_EQ(script.journal.cursor(), 6);
  script.switch_to(version(2));
  script.ready(1, 2);
  script.publish("a7");
  EXPECT_EQ(script.sent(), "");
  script.store_all();
  EXPECT_EQ(script.sent(), "1:a7");
  EXPECT_GE(script.journal.dispatched_through(), 7);
}

}  // namespace
}  // namespace dhub::delivery
