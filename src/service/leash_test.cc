// SPDX-License-Identifier: Apache-2.0
#include "service/leash.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <optional>
#include <string>
#include <vector>

namespace dhub::service {
namespace {

// Keeps what it is to run.
class KeepingScheduler : public Scheduler {
 public:
  void post(Task task) override { tasks.push_back(std::move(task)); }
  TimerId at(Instant, Task task) override {
    tasks.push_back(std::move(task));
    return TimerId{tasks.size()};
  }
  void cancel(TimerId) override {}
  [[nodiscard]] Now now() const override { return {}; }
  void run() {
    for (const auto& task : std::exchange(tasks, {})) task();
  }
  std::vector<Task> tasks;
};

class LeashTest : public testing::Test {
 protected:
  void note(const std::string& what) { told_.push_back(what); }

  std::optional<KeepingScheduler> scheduler_{std::in_place};
  std::optional<Leash> leash_{std::in_place, *scheduler_};
  std::vector<std::string> told_;
};

TEST_F(LeashTest, AnAnswerIsTakenOnTheLoop) {
  const auto answer = leash_->answer<int>([this](Result<int> n) { note(std::to_string(*n)); });
  answer(3);
  EXPECT_THAT(told_, testing::IsEmpty());
  scheduler_->run();
  EXPECT_THAT(told_, testing::ElementsAre("3"));
}

TEST_F(LeashTest, WhatIsPostedIsDroppedWhenTheOwnerGoesBeforeItsTurn) {
  leash_->post([this] { note("task"); });
  (void)leash_->at({}, [this] { note("timer"); });
  leash_->answer<void>([this](const Status&) { note("answer"); })({});
  leash_->word([this] { note("word"); })();
  EXPECT_EQ(scheduler_->tasks.size(), 4U);
  leash_.reset();
  scheduler_->run();
  EXPECT_THAT(told_, testing::IsEmpty());
}

// As the store does whose last answers come when the loop is gone.
TEST_F(LeashTest, AnAnswerMayComeWhenOwnerAndSchedulerAreGone) {
  const auto answer = leash_->answer<int>([this](const Result<int>&) { note("answer"); });
  const auto word = leash_->word([this] { note("word"); });
  leash_.reset();
  scheduler_.reset();
  answer(1);
  word();
  EXPECT_THAT(told_, testing::IsEmpty());
}

TEST_F(LeashTest, WordMayComeAgain) {
  const auto word = leash_->word([this] { note("word"); });
  word();
  word();
  scheduler_->run();
  EXPECT_EQ(told_.size(), 2U);
}

}  // namespace
}  // namespace dhub::service
