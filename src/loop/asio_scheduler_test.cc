// SPDX-License-Identifier: Apache-2.0
#include "loop/asio_scheduler.h"

#include <algorithm>
#include <future>
#include <gtest/gtest.h>
#include <memory>
#include <thread>
#include <vector>

#include "loop/loop_thread.h"

namespace dhub::loop {
namespace {

using namespace std::chrono_literals;

// A running loop; what a test does on it is a function that is waited for.
class AsioSchedulerTest : public testing::Test {
 protected:
  AsioSchedulerTest() { loop_.start(); }
  ~AsioSchedulerTest() override { loop_.stop(); }

  void on_loop(const Scheduler::Task& task) {
    std::promise<void> done;
    scheduler_.post([&] {
      task();
      done.set_value();
    });
    wait(done);
  }
  static void wait(std::promise<void>& done) { ASSERT_EQ(done.get_future().wait_for(30s), std::future_status::ready); }

  LoopThread loop_{"test-loop"};
  AsioScheduler scheduler_{loop_.io_context()};
};

TEST_F(AsioSchedulerTest, TellsItsLongestTurn) {
  on_loop([] {});
  EXPECT_LT(scheduler_.turns().longest(), 5s);
  on_loop([] {
    const Instant begun = read_clocks().mono;
    while (read_clocks().mono - begun < 3ms) {
    }
  });
  on_loop([] {});
  EXPECT_GE(scheduler_.turns().longest(), 3ms);
}

TEST_F(AsioSchedulerTest, SeesWhoWaitsInATurn) {
  AsioScheduler watched(loop_.io_context(), Turns::Watch::Waits);
  std::promise<void> computed;
  watched.post([&] { computed.set_value(); });
  wait(computed);
  std::promise<void> never;
  std::promise<void> waited;
  watched.post([&] { EXPECT_EQ(never.get_future().wait_for(2ms), std::future_status::timeout); });
  watched.post([&] { waited.set_value(); });
  wait(waited);
  EXPECT_EQ(watched.turns().waits(), 1U);
}

TEST_F(AsioSchedulerTest, RunsTasksInTheOrderOfPosting) {
  std::vector<int> order;
  for (int i = 0; i < 1000; ++i) scheduler_.post([&order, i] { order.push_back(i); });
  on_loop([] {});
  ASSERT_EQ(order.size(), 1000u);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST_F(AsioSchedulerTest, WhatAnotherThreadPostsLaterRunsLater) {
  std::vector<int> order;
  on_loop([&] {
    scheduler_.post([&] { order.push_back(1); });
    std::jthread([&] { scheduler_.post([&] { order.push_back(2); }); }).join();
    scheduler_.post([&] { order.push_back(3); });
  });
  on_loop([] {});
  EXPECT_EQ(order, (std::vector{1, 2, 3}));
}

TEST_F(AsioSchedulerTest, NeverRunsATaskInsideAnother) {
  bool nested = true;
  bool inside = false;
  on_loop([&] {
    inside = true;
    scheduler_.post([&] { nested = inside; });
    inside = false;
  });
  on_loop([] {});
  EXPECT_FALSE(nested);
}

TEST_F(AsioSchedulerTest, TimersFireByTheirTimesAndNotEarly) {
  std::vector<int> order;
  std::promise<void> done;
  Instant fired{};
  Instant due{};
  on_loop([&] {
    const Instant now = scheduler_.now().mono;
    due = now + 20ms;
    scheduler_.at(due, [&] {
      order.push_back(2);
      fired = scheduler_.now().mono;
      done.set_value();
    });
    scheduler_.at(now + 10ms, [&] { order.push_back(1); });
    scheduler_.at(now - 1h, [&] { order.push_back(0); });
  });
  wait(done);
  EXPECT_EQ(order, (std::vector{0, 1, 2}));
  EXPECT_GE(fired, due);
}

TEST_F(AsioSchedulerTest, ACancelledTimerNeverRunsEvenWhenItWasDue) {
  bool ran = false;
  on_loop([&] {
    const auto timer = scheduler_.at(scheduler_.now().mono - 1s, [&] { ran = true; });
    scheduler_.cancel(timer);
  });
  std::promise<void> later;
  on_loop([&] { scheduler_.at(scheduler_.now().mono, [&] { later.set_value(); }); });
  wait(later);
  EXPECT_FALSE(ran);
}

TEST_F(AsioSchedulerTest, CancellingWhatHasRunOrNeverWasDoesNothing) {
  std::promise<void> done;
  Scheduler::TimerId timer{};
  on_loop([&] { timer = scheduler_.at(scheduler_.now().mono, [&] { done.set_value(); }); });
  wait(done);
  on_loop([&] {
    scheduler_.cancel(timer);
    scheduler_.cancel(Scheduler::TimerId::None);
  });
}

TEST_F(AsioSchedulerTest, ATimerMayCancelAnotherThatIsDueToo) {
  std::vector<int> order;
  std::promise<void> done;
  on_loop([&] {
    const Instant due = scheduler_.now().mono;
    const auto second = std::make_shared<Scheduler::TimerId>();
    scheduler_.at(due - 2ms, [&, second] {
      order.push_back(1);
      scheduler_.cancel(*second);
    });
    *second = scheduler_.at(due - 1ms, [&] { order.push_back(2); });
    scheduler_.at(due, [&] { done.set_value(); });
  });
  wait(done);
  EXPECT_EQ(order, std::vector{1});
}

TEST_F(AsioSchedulerTest, TimersOfADestroyedSchedulerDoNotRun) {
  bool ran = false;
  std::promise<void> later;
  on_loop([&] {
    {
      AsioScheduler other(loop_.io_context());
      other.at(other.now().mono - 1s, [&] { ran = true; });
    }
    scheduler_.at(scheduler_.now().mono, [&] { later.set_value(); });
  });
  wait(later);
  EXPECT_FALSE(ran);
}

TEST_F(AsioSchedulerTest, WhatIsPostedAfterTheStopIsDroppedAtOnce) {
  loop_.stop();
  const auto held = std::make_shared<int>(1);
  bool ran = false;
  scheduler_.post([&ran, held] { ran = true; });
  EXPECT_EQ(held.use_count(), 1);
  EXPECT_FALSE(ran);
}

}  // namespace
}  // namespace dhub::loop
