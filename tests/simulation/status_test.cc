// SPDX-License-Identifier: Apache-2.0
// What triggers show of themselves, and to those who wait for it to change.
#include <memory>
#include <vector>

#include "tests/simulation/world_test.h"

namespace dhub::simulation {
namespace {

class StatusTest : public WorldTest {
 protected:
  using Wait = std::unique_ptr<service::Triggers::Wait>;

  void SetUp() override {
    world_.create("p", R"({"event":"orders"})", "[]");
    start("p");
    EXPECT_TRUE(world_.run_for(1min));
  }
  Wait wait(const std::string& seen) {
    auto waits = world_.triggers().wait("p", seen, [this] { ++told_; });
    EXPECT_TRUE(waits) << (waits ? "" : waits.error().message);
    return waits ? std::move(*waits) : nullptr;
  }

  int told_ = 0;
};

TEST_F(StatusTest, WhoWaitsCostsTheLoopNothingWhileNothingChanges) {
  const std::string seen = status("p").etag;
  const std::size_t before = world_.timeline.pending();
  std::vector<Wait> waits;
  for (int i = 0; i < 2000; ++i) waits.push_back(wait(seen));
  EXPECT_EQ(world_.timeline.pending(), before) << "no task and no timer";
  EXPECT_TRUE(world_.run_for(1min));
  EXPECT_EQ(world_.timeline.pending(), before);
  EXPECT_EQ(told_, 0);
  EXPECT_EQ(world_.triggers().waits(), 2000U);
  waits.clear();
  EXPECT_EQ(world_.triggers().waits(), 0U);
}

TEST_F(StatusTest, AChangeIsToldToAllWhoWait) {
  const std::string seen = status("p").etag;
  std::vector<Wait> waits;
  for (int i = 0; i < 10; ++i) waits.push_back(wait(seen));
  world_.publish("orders", {"a"});
  EXPECT_TRUE(world_.run_until([&] { return told_ == 10; }, 200ms));
  EXPECT_NE(status("p").etag, seen);
}

TEST_F(StatusTest, WhatChangedBeforeTheWaitIsToldAtOnce) {
  const std::string seen = status("p").etag;
  ASSERT_TRUE(world_.pause("p"));
  EXPECT_EQ(wait(seen), nullptr);
  EXPECT_EQ(told_, 1);
}

TEST_F(StatusTest, TheLastChangeIsShown) {
  for (int i = 0; i < 20; ++i) {
    world_.publish("orders", {"a", "b", "c"});
    world_.run_for(7ms);
  }
  world_.run_for(200ms);
  const auto shown = status("p");
  EXPECT_EQ(shown.succeeded, 60);
  EXPECT_EQ(shown.partitions.at(0).lag, 0);
  EXPECT_EQ(shown.partitions.at(0).end, Offset{60});
}

TEST_F(StatusTest, WhatWasPublishedIsInTheBacklogAtOnce) {
  world_.publish("orders", {"a"});
  ASSERT_TRUE(world_.run_until_drained("p"));
  world_.run_for(1ms);
  world_.publish("orders", {"b"});
  const auto shown = status("p").partitions.at(0);
  EXPECT_GE(shown.lag, 1);
  EXPECT_EQ(shown.end, Offset{2});
  EXPECT_EQ(shown.lag, shown.end.value - shown.cursor.value);
}

TEST_F(StatusTest, UnderLoadItIsShownTenTimesASecond) {
  std::string seen = status("p").etag;
  int changes = 0;
  for (int i = 0; i < 1000; ++i) {
    world_.publish("orders", {"a"});
    const std::string now = status("p").etag;
    if (std::exchange(seen, now) != now) ++changes;
    world_.run_for(1ms);
  }
  EXPECT_GE(changes, 8);
  EXPECT_LE(changes, 35) << "in about two seconds";
}

TEST_F(StatusTest, WhatUsersAskedForIsShownWhenItIsAnswered) {
  world_.publish("orders", {"a"});
  ASSERT_TRUE(world_.pause("p"));
  EXPECT_FALSE(status("p").ready);
  EXPECT_EQ(status("p").trigger.desired, DesiredState::Paused);
  ASSERT_TRUE(world_.resume("p"));
  EXPECT_TRUE(status("p").ready);
  ASSERT_TRUE(world_.stop("p"));
  EXPECT_EQ(condition(status("p"), "Source").reason, "Stopped");
  start("p");
  EXPECT_TRUE(status("p").ready);
}

TEST_F(StatusTest, AStoppedTriggerTellsWhereItStandsAndItsStartIsTold) {
  world_.publish("orders", {"a", "b"});
  ASSERT_TRUE(world_.run_until_drained("p"));
  ASSERT_TRUE(world_.stop("p"));
  world_.publish("orders", {"c"});
  const auto stopped = status("p");
  EXPECT_FALSE(stopped.ready);
  EXPECT_EQ(stopped.partitions.at(0).cursor, Offset{2});
  EXPECT_EQ(stopped.partitions.at(0).lag, 1);
  const Wait waits = wait(stopped.etag);
  EXPECT_EQ(told_, 0);
  start("p");
  EXPECT_EQ(told_, 1);
}

TEST_F(StatusTest, APipelineThatWasNeverStartedSaysSo) {
  world_.create("never", R"({"event":"orders"})");
  const auto never = status("never");
  EXPECT_FALSE(never.ready);
  EXPECT_EQ(never.trigger.pipeline_id, "never");
  EXPECT_EQ(never.trigger.desired, DesiredState::Stopped);
  EXPECT_EQ(world_.triggers().list()->size(), 1U);
  EXPECT_FALSE(world_.triggers().status("none"));
}

TEST_F(StatusTest, AnEndOfTheServerKeepsNobodyWaiting) {
  const Wait waits = wait(status("p").etag);
  bool down = false;
  world_.triggers().shutdown(1s, [&] { down = true; });
  ASSERT_TRUE(world_.run_until([&] { return down; }));
  EXPECT_EQ(told_, 1);
}

}  // namespace
}  // namespace dhub::simulation
