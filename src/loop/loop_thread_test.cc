// SPDX-License-Identifier: Apache-2.0
#include "loop/loop_thread.h"

#include <future>
#include <gtest/gtest.h>

#include "loop/asio_scheduler.h"

namespace dhub::loop {
namespace {

using namespace std::chrono_literals;

TEST(LoopThread, RunsWhatWasPostedBeforeTheStart) {
  LoopThread loop("test-loop");
  AsioScheduler scheduler(loop.io_context());
  std::promise<std::thread::id> ran;
  scheduler.post([&] { ran.set_value(std::this_thread::get_id()); });
  loop.start();
  auto id = ran.get_future();
  ASSERT_EQ(id.wait_for(30s), std::future_status::ready);
  EXPECT_NE(id.get(), std::this_thread::get_id());
}

TEST(LoopThread, StopsAnyNumberOfTimes) {
  LoopThread loop("test-loop");
  loop.start();
  loop.start();
  loop.stop();
  loop.stop();
}

TEST(LoopThread, StopsWithoutHavingRun) {
  LoopThread loop("test-loop");
  loop.stop();
  loop.start();  // stays stopped
  AsioScheduler scheduler(loop.io_context());
  bool ran = false;
  scheduler.post([&] { ran = true; });
  loop.stop();
  EXPECT_FALSE(ran);
}

TEST(LoopThread, StopFromItsOwnTaskEndsTheLoop) {
  LoopThread loop("test-loop");
  AsioScheduler scheduler(loop.io_context());
  std::promise<void> asked;
  bool ran_after = false;
  scheduler.post([&] {
    loop.stop();
    scheduler.post([&] { ran_after = true; });
    asked.set_value();
  });
  scheduler.post([&] { ran_after = true; });
  loop.start();
  ASSERT_EQ(asked.get_future().wait_for(30s), std::future_status::ready);
  loop.stop();
  EXPECT_FALSE(ran_after);
}

TEST(LoopThread, StopsFromManyThreadsAtOnce) {
  LoopThread loop("test-loop");
  loop.start();
  std::vector<std::jthread> stoppers;
  for (int i = 0; i < 8; ++i) stoppers.emplace_back([&] { loop.stop(); });
}

TEST(LoopThread, StopWaitsForTheTaskThatRuns) {
  LoopThread loop("test-loop");
  AsioScheduler scheduler(loop.io_context());
  std::promise<void> begun;
  bool finished = false;
  scheduler.post([&] {
    begun.set_value();
    for (int i = 0; i < 1000; ++i) std::this_thread::yield();
    finished = true;
  });
  loop.start();
  ASSERT_EQ(begun.get_future().wait_for(30s), std::future_status::ready);
  loop.stop();
  EXPECT_TRUE(finished);
}

}  // namespace
}  // namespace dhub::loop
