// SPDX-License-Identifier: Apache-2.0
// A trigger whose window holds little: what waits is let go, and read again when its turn comes.
#include <fmt/format.h>

#include "tests/simulation/world_test.h"

namespace dhub::simulation {
namespace {

service::SupervisorOptions small_window() {
  service::SupervisorOptions options{4, 1, 10s};
  options.limits.window_bytes = 1000;
  return options;
}

class SmallWindowTest : public testing::Test {
 protected:
  SmallWindowTest() {
    world_.create("p", R"({"event":"orders"})");
    EXPECT_TRUE(world_.start("p"));
    // One key: all of them wait for the first, longer than the window can hold them.
    world_.publish("orders", std::vector<std::string>(20, "takes:100ms " + std::string(100, 'x')), "k");
    EXPECT_TRUE(world_.run_for(50ms));
  }
  ~SmallWindowTest() override { EXPECT_THAT(world_.checkers.violations(), testing::IsEmpty()); }

  SimWorld world_{test_seed_or(1), small_window()};
};

TEST_F(SmallWindowTest, WhatWasLetGoIsReadAgain) {
  EXPECT_TRUE(world_.run_until_drained("p", 3s));
  EXPECT_EQ(world_.checkers.executions(), 20);
}

TEST_F(SmallWindowTest, WhatWasLetGoIsExecutedThoughItComesLater) {
  world_.disk.reads_later = 1;
  EXPECT_TRUE(world_.run_until_drained("p", 3s));
}

TEST_F(SmallWindowTest, WhatWasLetGoIsAskedForAgainWhenNobodyTellsThatItHasCome) {
  world_.disk.reads_later = 1;
  world_.disk.faults.untold_arrival = 1;
  EXPECT_TRUE(world_.run_until_drained("p", 10min));
}

// The bytes of all triggers come out of one budget: who waits for others' says so, and goes on when they are done.
TEST(SharedBytes, WhoWaitsForThoseOfOthersSaysSoAndGoesOn) {
  SimWorld world(test_seed_or(1), small_window());
  for (const char* id : {"p", "q"}) world.create(id, fmt::format(R"({{"event":"{}","ordering":"none"}})", id));
  for (const char* id : {"p", "q"}) ASSERT_TRUE(world.start(id));
  world.publish("p", std::vector<std::string>(8, "takes:8s " + std::string(300, 'x')));
  world.run_for(1s);
  for (int i = 0; i < 8; ++i) {
    world.publish("q", {"takes:5s " + std::string(100, 'x')});
    world.run_for(20ms);
  }
  const auto waits = [&] {
    const auto status = world.status("q");
    return status && status->ready && status->conditions.back().type == "Memory";
  };
  bool told = false;
  for (int i = 0; i < 20 && !told; ++i) {
    told = waits();
    world.run_for(100ms);
  }
  EXPECT_TRUE(told);
  EXPECT_TRUE(world.run_until_drained("q"));
  EXPECT_TRUE(world.run_until_drained("p"));
  EXPECT_THAT(world.checkers.violations(), testing::IsEmpty());
}

}  // namespace
}  // namespace dhub::simulation
