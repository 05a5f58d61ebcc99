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

}  // namespace
}  // namespace dhub::simulation
