// SPDX-License-Identifier: Apache-2.0
#include "eventlog/kafka/feed.h"

#include <gtest/gtest.h>

#include "eventlog/kafka/producer.h"
#include "eventlog/kafka/settings.h"
#include "eventlog/kafka/test_cluster.h"

namespace dhub::kafka {
namespace {

class FeedTest : public testing::Test {
 protected:
  FeedTest() : topic_(cluster_.make_topic("feed")) {
    feed_.emplace(
        open(), topic_, PartitionId{0}, [told = news_.listener()] { told(std::nullopt); },
        [this](std::uint64_t& asked) {
          asked = 1;
          ++asks_;
          return confirms_;
        });
  }
  void publish(int count) {
    std::promise<bool> stored;
    producer_.publish(topic_, std::vector<Message>(static_cast<std::size_t>(count), Message{"k", {}, "v", {}}),
                      [&](const auto& answer) { stored.set_value(answer.has_value()); });
    ASSERT_TRUE(stored.get_future().get());
  }
  // As a reader does it: takes until there is nothing more at hand, and only then waits to be called.
  std::size_t take_all(std::size_t until) {
    std::size_t got = 0;
    while (got < until) {
      const Feed::Taken taken = feed_->take(1 << 20);
      EXPECT_NE(taken.state, Feed::State::Failed);
      got += taken.batch->records.size();
      if (taken.state != Feed::State::More && got < until && !news_.wait()) break;
    }
    return got;
  }
  // Until the first of what there is waits to be confirmed.
  void wait_held() {
    do EXPECT_TRUE(feed_->take(1 << 20).batch->records.empty());
    while (asks_ == 0 && news_.wait());
    EXPECT_GT(asks_, 0);
  }

  TestCluster cluster_;
  std::string topic_;
  News news_;
  bool confirms_ = true;
  int asks_ = 0;
  std::optional<Feed> feed_;

 private:
  [[nodiscard]] std::shared_ptr<Handle> open() const {
    auto handle = Handle::open(Role::Consumer, consumer_settings({{"bootstrap.servers", cluster_.bootstrap()}}), {});
    EXPECT_TRUE(handle) << (handle ? "" : handle.error().message);
    return std::shared_ptr<Handle>(std::move(*handle));
  }
  Producer producer_{producer_settings({{"bootstrap.servers", cluster_.bootstrap()}}), {}, [](const auto&...) {}};
};

TEST_F(FeedTest, WhatComesFirstIsHeldUntilItIsConfirmed) {
  confirms_ = false;
  publish(3);
  ASSERT_TRUE(feed_->start(Offset{0}));
  wait_held();
  EXPECT_EQ(feed_->next(), Offset{0}) << "nothing was handed out";
  confirms_ = true;
  EXPECT_EQ(take_all(3), 3U);
  EXPECT_EQ(feed_->next(), Offset{3});
}

TEST_F(FeedTest, WhatComesWhileTheFirstIsHeldIsNotForgotten) {
  confirms_ = false;
  publish(1);
  ASSERT_TRUE(feed_->start(Offset{0}));
  wait_held();
  publish(5);
  ASSERT_TRUE(news_.wait()) << "what came is told, once";
  EXPECT_TRUE(feed_->take(1 << 20).batch->records.empty());
  confirms_ = true;
  EXPECT_EQ(take_all(6), 6U);
}

TEST_F(FeedTest, ABeginningAnewForgetsWhatWasHeld) {
  confirms_ = false;
  publish(2);
  ASSERT_TRUE(feed_->start(Offset{0}));
  wait_held();
  ASSERT_TRUE(feed_->start(Offset{1}));
  confirms_ = true;
  EXPECT_EQ(take_all(1), 1U);
  EXPECT_EQ(feed_->next(), Offset{2});
}

}  // namespace
}  // namespace dhub::kafka
