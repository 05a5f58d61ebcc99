// SPDX-License-Identifier: Apache-2.0
#include "service/instance_pool.h"

#include <gtest/gtest.h>

namespace dhub::service {
namespace {

class NoBackend final : public ComputeBackend {
 public:
  void start(InstanceId, InstanceSpecRef, ComputeListener&) override { ++started; }
  void deliver(InstanceId, const std::vector<Delivery>&) override {}
  void recall(InstanceId) override {}
  void drain(InstanceId) override {}
  void kill(InstanceId) override {}
  int started = 0;
};

class NoListener final : public ComputeListener {
  void on_ready(InstanceId) override {}
  void on_outcomes(InstanceId, std::vector<Outcome>) override {}
  void on_ended(const InstanceEnded&) override {}
};

class NoScheduler final : public Scheduler {
 public:
  void post(Task) override {}
  TimerId at(Instant, Task) override { return TimerId::None; }
  void cancel(TimerId) override {}
  [[nodiscard]] Now now() const override { return {}; }
};

class InstancePoolTest : public testing::Test {
 protected:
  InstancePoolTest() {
    auto spec = std::make_shared<InstanceSpec>();
    spec->version = Version{1};
    Scaling scaling;
    scaling.min_instances = 2;
    scaling.max_instances = 2;
    pool.use(spec, scaling);
    (void)pool.rescale({}, now);
    EXPECT_EQ(backend.started, 2);
  }
  void end(std::uint64_t instance, EndReason reason) {
    pool.on_ended({InstanceId{instance}, reason, "ImportError", ""}, now);
  }

  NoBackend backend;
  NoListener listener;
  InstanceIds ids;
  Now now{Instant{std::chrono::seconds(10)}, WallTime{}};
  NoScheduler scheduler;
  Metrics metrics;
  Slots slots{scheduler, metrics, {}};
  InstancePool pool{backend,
                    listener,
                    ids,
                    slots,
                    {[](InstanceId) { return std::nullopt; }, [](InstanceId) {}, {[] {}, [](InstanceId) {}}}};
};

TEST_F(InstancePoolTest, AStartThatFailsIsToldWhenNoneRuns) {
  end(1, EndReason::FailedToStart);
  ASSERT_TRUE(pool.start_failure());
  EXPECT_EQ(pool.start_failure()->detail, "ImportError");
}

TEST_F(InstancePoolTest, AStartThatFailsLateIsNotToldWhenAnotherHasDoneItsWorkMeanwhile) {
  (void)pool.on_ready(InstanceId{2}, now);
  pool.on_outcomes(InstanceId{2});
  end(2, EndReason::Drained);
  end(1, EndReason::FailedToStart);
  EXPECT_FALSE(pool.start_failure());
}

// Nothing is left to do, so no start that works would ever cure it.
TEST_F(InstancePoolTest, NorWhenOneThatHadDoneWorkBeforeHasDoneTheRestMeanwhile) {
  (void)pool.on_ready(InstanceId{2}, now);
  pool.on_outcomes(InstanceId{2});
  end(1, EndReason::Drained);
  (void)pool.rescale({}, now);
  ASSERT_EQ(backend.started, 3);
  pool.on_outcomes(InstanceId{2});
  end(2, EndReason::Drained);
  end(3, EndReason::HostLost);
  EXPECT_FALSE(pool.start_failure());
}

}  // namespace
}  // namespace dhub::service
