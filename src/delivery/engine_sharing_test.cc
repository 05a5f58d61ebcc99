// SPDX-License-Identifier: Apache-2.0
// What one engine leaves to others: instances that it must give up, and bytes.
#include <gtest/gtest.h>

#include "delivery/byte_budget.h"
#include "delivery/engine_script.h"

namespace dhub::delivery {
namespace {

constexpr PartitionId kFirst{0};

TEST(EngineLeaving, AnInstanceThatIsToEndGetsNothingMore) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("a1 a2 b1");
  EXPECT_EQ(script.sent(), "1:a1,a2,b1");
  script.engine().instance_leaving(InstanceId{1});
  script.answer("a1 ok, a2 not_started, b1 not_started");
  EXPECT_EQ(script.sent(), "") << "there is nobody to take them";
  script.ready(2);
  EXPECT_EQ(script.sent(), "2:a2,b1");
}

TEST(EngineLeaving, NorDoesAnIdleOne) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.engine().instance_leaving(InstanceId{1});
  script.publish("a1");
  EXPECT_EQ(script.sent(), "");
}

TEST(ByteShare, EachHasWhatTheOthersLeaveAndAFloor) {
  ByteBudget budget{1000, 100};
  ByteShare one(&budget);
  {
    ByteShare other(&budget);
    EXPECT_EQ(one.room(5000), 1000U);
    EXPECT_EQ(one.room(300), 300U) << "its own limit holds too";
    other.set(700);
    EXPECT_EQ(one.room(5000), 300U);
    EXPECT_EQ(other.room(5000), 1000U) << "what it holds itself is not held by others";
    other.set(2000);
    EXPECT_EQ(one.room(5000), 100U);
    one.set(50);
    EXPECT_EQ(budget.used, 2050U);
  }
  EXPECT_EQ(budget.used, 50U);
  EXPECT_EQ(ByteShare(nullptr).room(5000), 5000U);
}

class EngineBytes : public testing::Test {
 protected:
  static EngineSettings settings(ByteBudget& budget) {
    EngineSettings made = script_settings();
    made.limits.window_bytes = budget.most;
    made.limits.shared_bytes = &budget;
    return made;
  }

  ByteBudget budget_{100'000, 2'000};
  EngineScript script_{settings(budget_)};
};

TEST_F(EngineBytes, WhatOthersHoldIsNotThereToBeReadInto) {
  ByteShare others(&budget_);
  script_.start();
  others.set(200'000);
  for (int i = 0; i < 50; ++i) script_.append("-1");
  int read = 0;
  for (; script_.engine().wants_read(kFirst) && read < 50; ++read) script_.read(0, 1);
  EXPECT_GE(read, 2) << "up to the floor it goes on all the same";
  EXPECT_LT(read, 40);
  EXPECT_TRUE(script_.engine().waits_for_bytes());
  EXPECT_GT(budget_.used, 200'000U + 1'900U);
  others.set(0);
  EXPECT_FALSE(script_.engine().waits_for_bytes());
  EXPECT_TRUE(script_.engine().wants_read(kFirst).has_value());
}

TEST_F(EngineBytes, WhatIsFinishedIsThereForTheOthersAgain) {
  script_.start();
  script_.ready(1);
  script_.publish("a1 b1 c1");
  EXPECT_GT(budget_.used, 0U);
  script_.answer("a1 ok, b1 ok, c1 ok");
  script_.store_all();
  EXPECT_EQ(budget_.used, 0U);
}

}  // namespace
}  // namespace dhub::delivery
