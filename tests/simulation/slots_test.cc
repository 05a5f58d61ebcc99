// SPDX-License-Identifier: Apache-2.0
// Triggers that want more instances than the machine carries.
#include <fmt/format.h>
#include <map>

#include "tests/simulation/world_test.h"

namespace dhub::simulation {
namespace {

constexpr const char* kEight = R"({"event":"orders","scaling":{"max_instances":8}})";

service::SupervisorOptions two_slots() {
  service::SupervisorOptions options{4, 1, 10s};
  options.most_instances = 2;
  options.instance_memory = 8ULL << 30;
  return options;
}

// A machine of two slots, on which a start takes 5 ms, with a backlog that no trigger comes to the end of.
class Crowd {
 public:
  explicit Crowd(int triggers) {
    world.backend_faults.start_least = world.backend_faults.start_most = 5ms;
    for (int i = 0; i < triggers; ++i) world.create(id(i), kEight);
    world.publish("orders", {"first"});
    world.publish("orders", std::vector<std::string>(9000, "x"));
    for (int i = 0; i < triggers; ++i) EXPECT_TRUE(world.start(id(i), StartFrom::Earliest));
    world.run_for(2s);
  }
  static std::string id(int i) { return fmt::format("p{}", i); }

  SimWorld world{test_seed_or(1), two_slots()};
};

std::int64_t executions_in(Crowd& crowd, Duration duration) {
  const std::int64_t before = crowd.world.checkers.executions();
  crowd.world.run_for(duration);
  return crowd.world.checkers.executions() - before;
}

service::Condition condition(const service::TriggerStatus& status, const std::string& type) {
  for (const auto& one : status.conditions)
    if (one.type == type) return one;
  return {};
}

TEST(SlotsOfAWorld, TwentyTriggersOnTwoSlotsAllGoOnAndSwitchingCostsLittle) {
  Crowd two(2);
  Crowd many(20);
  const std::int64_t undisturbed = executions_in(two, 20s);
  const std::int64_t before = many.world.checkers.executions();
  std::map<int, std::pair<std::size_t, Instant>> progress;
  Duration longest{};
  for (Duration passed{}; passed < 20s; passed += 100ms) {
    many.world.run_for(100ms);
    const Instant now = many.world.timeline.now().mono;
    for (int i = 0; i < 20; ++i) {
      const std::size_t begun = many.world.checkers.begun_offsets(Crowd::id(i)).size();
      auto& [seen, at] = progress.try_emplace(i, begun, now).first->second;
      if (begun != seen) at = now;
      seen = begun;
      longest = std::max(longest, now - at);
    }
    ASSERT_LE(many.world.checkers.alive(), 2U);
  }
  const std::int64_t in_turns = many.world.checkers.executions() - before;
  std::printf("undisturbed %lld, in turns %lld, longest without progress %lld ms\n",
              static_cast<long long>(undisturbed), static_cast<long long>(in_turns),
              static_cast<long long>(std::chrono::duration_cast<milliseconds>(longest).count()));
  EXPECT_LT(longest, 5s);
  EXPECT_GE(static_cast<double>(in_turns), 0.9 * static_cast<double>(undisturbed));
  EXPECT_THAT(many.world.checkers.violations(), testing::IsEmpty());
}

TEST(SlotsOfAWorld, EachOneSaysWhatItWaitsFor) {
  Crowd crowd(20);
  for (int i = 0; i < 20; ++i) {
    const auto status = crowd.world.status(Crowd::id(i));
    ASSERT_TRUE(status);
    EXPECT_TRUE(status->ready) << "it is executed, in turns";
    const auto waits = condition(*status, "Instances");
    EXPECT_EQ(waits.reason, "WaitsForInstances");
    EXPECT_NE(waits.message.find("2 of 2 are in use (instances.most)"), std::string::npos) << waits.message;
    EXPECT_NE(status->scaling_reason.find("It waits for"), std::string::npos) << status->scaling_reason;
  }
  const std::string metrics = crowd.world.server().metrics.render();
  EXPECT_NE(metrics.find("dhub_slots 2\n"), std::string::npos);
  EXPECT_NE(metrics.find("dhub_slots_in_use 2\n"), std::string::npos);
  EXPECT_NE(metrics.find("dhub_trigger_waits_for_instances{pipeline=\"p0\"}"), std::string::npos);
}

TEST(SlotsOfAWorld, WhatIsThereForAllIsThereForOneAgainWhenTheOthersStop) {
  Crowd crowd(3);
  for (int i = 1; i < 3; ++i) ASSERT_TRUE(crowd.world.stop(Crowd::id(i)));
  crowd.world.run_for(1s);
  const auto status = crowd.world.status(Crowd::id(0));
  ASSERT_TRUE(status);
  EXPECT_EQ(status->instances_ready, 2);
}

class SlotsWorldTest : public testing::Test {
 protected:
  ~SlotsWorldTest() override { EXPECT_THAT(world_.checkers.violations(), testing::IsEmpty()); }
  SimWorld world_{test_seed_or(1), two_slots()};
};

TEST_F(SlotsWorldTest, AStartWhoseLeastInstancesDoNotFitIsAConflictAndNothingIsWritten) {
  world_.create("p", R"({"event":"orders","scaling":{"min_instances":3}})");
  const auto started = world_.start("p");
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, ErrorCode::Conflict);
  EXPECT_NE(started.error().message.find("'p' cannot be started. It needs 3 instances"), std::string::npos)
      << started.error().message;
  EXPECT_EQ(world_.position("p"), nullptr);

  world_.create("q", R"({"event":"orders","scaling":{"min_instances":2}})");
  world_.create("r", R"({"event":"orders","scaling":{"min_instances":1}})");
  ASSERT_TRUE(world_.start("q"));
  ASSERT_TRUE(world_.start("q")) << "its own are not taken from it";
  EXPECT_FALSE(world_.start("r"));
  ASSERT_TRUE(world_.stop("q"));
  EXPECT_TRUE(world_.start("r"));
}

TEST_F(SlotsWorldTest, TwoStartsAtTheSameTimeAreNotBothPromisedTheSame) {
  int granted = 0;
  int refused = 0;
  for (const char* id : {"p", "q"}) {
    world_.create(id, R"({"event":"orders","scaling":{"min_instances":2}})");
    world_.triggers().start({id, std::nullopt, std::nullopt}, [&](const auto& answer) {
      granted += answer ? 1 : 0;
      refused += answer ? 0 : 1;
    });
  }
  ASSERT_TRUE(world_.run_until([&] { return granted + refused == 2; }));
  EXPECT_EQ(granted, 1);
}

TEST_F(SlotsWorldTest, MemoryThatAnInstanceCanNeverHaveIsAConflict) {
  world_.create("p", R"({"event":"orders","limits":{"memory":"9GiB"}})");
  const auto started = world_.start("p");
  ASSERT_FALSE(started);
  EXPECT_NE(started.error().message.find("1 instance of it may take 9216MiB (limits.memory)"), std::string::npos)
      << started.error().message;
}

// An event that runs long is finished, not killed, and what stood behind it goes on elsewhere, in order.
TEST_F(SlotsWorldTest, WhoGivesAnInstanceBackFinishesWhatItHasBegun) {
  for (const char* id : {"p", "q", "r"}) {
    world_.create(id, kEight);
    ASSERT_TRUE(world_.start(id));
  }
  for (int i = 0; i < 10; ++i) world_.publish("orders", {"takes:700ms", "x", "takes:100ms"}, fmt::format("k{}", i));
  for (const char* id : {"p", "q", "r"}) {
    ASSERT_TRUE(world_.run_until_drained(id));
    EXPECT_EQ(world_.checkers.begun_offsets(id).size(), 30U) << "none ran twice";
  }
}

}  // namespace
}  // namespace dhub::simulation
