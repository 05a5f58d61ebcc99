// SPDX-License-Identifier: Apache-2.0
#include "service/status_board.h"

#include <gtest/gtest.h>
#include <optional>
#include <vector>

namespace dhub::service {
namespace {

constexpr PipelineUid kP{1};
constexpr PipelineUid kQ{2};

class StatusBoardTest : public testing::Test {
 protected:
  static TriggerStatus status(const std::string& etag) {
    TriggerStatus made;
    made.etag = etag;
    return made;
  }
  Result<std::unique_ptr<Triggers::Wait>> wait(PipelineUid pipeline) {
    return board_->wait(pipeline, board_->find(pipeline), [this] { ++told_; });
  }

  std::optional<StatusBoard> board_{std::in_place, 3};
  int told_ = 0;
};

TEST_F(StatusBoardTest, ShowsWhatWasPostedLast) {
  EXPECT_EQ(board_->find(kP), nullptr);
  board_->post(kP, status("a"));
  const auto kept = board_->find(kP);
  board_->post(kP, status("b"));
  EXPECT_EQ(board_->find(kP)->etag, "b");
  EXPECT_EQ(kept->etag, "a");
  board_->remove(kP);
  EXPECT_EQ(board_->find(kP), nullptr);
}

TEST_F(StatusBoardTest, WhoWaitsIsToldOnceOfAChangeOfTheirs) {
  board_->post(kP, status("a"));
  const auto waits = wait(kP);
  board_->post(kP, status("a"));
  board_->post(kQ, status("x"));
  EXPECT_EQ(told_, 0);
  board_->post(kP, status("b"));
  EXPECT_EQ(told_, 1);
  board_->post(kP, status("c"));
  EXPECT_EQ(told_, 1);
  EXPECT_EQ(board_->waits(), 0U);
}

TEST_F(StatusBoardTest, AnEndIsAChangeAndSoIsABeginning) {
  const auto first = wait(kP);
  board_->post(kP, status("a"));
  EXPECT_EQ(told_, 1);
  const auto second = wait(kP);
  board_->remove(kP);
  EXPECT_EQ(told_, 2);
  board_->remove(kP);
}

// The look and the wait are two calls.
TEST_F(StatusBoardTest, WhatChangedRightBeforeTheWaitIsToldAtOnce) {
  board_->post(kP, status("a"));
  const auto seen = board_->find(kP);
  board_->post(kP, status("b"));
  const auto waits = board_->wait(kP, seen, [this] { ++told_; });
  ASSERT_TRUE(waits);
  EXPECT_EQ(*waits, nullptr);
  EXPECT_EQ(told_, 1);
}

TEST_F(StatusBoardTest, WaitsAreBoundedAndEndWhenTheyAreDropped) {
  std::vector<std::unique_ptr<Triggers::Wait>> waits;
  for (int i = 0; i < 3; ++i) waits.push_back(std::move(*wait(kP)));
  const auto refused = wait(kQ);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::Unavailable);
  waits.clear();
  EXPECT_EQ(board_->waits(), 0U);
  EXPECT_TRUE(wait(kQ));
  board_->post(kP, status("a"));
  EXPECT_EQ(told_, 0);
}

TEST_F(StatusBoardTest, AClosedBoardKeepsNobodyWaiting) {
  const auto before = wait(kP);
  board_->close();
  EXPECT_EQ(told_, 1);
  const auto after = wait(kP);
  EXPECT_EQ(told_, 2);
}

TEST_F(StatusBoardTest, AWaitMayBeDroppedWhenTheBoardIsGone) {
  auto waits = wait(kP);
  board_.reset();
  waits->reset();
  EXPECT_EQ(told_, 0);
}

}  // namespace
}  // namespace dhub::service
