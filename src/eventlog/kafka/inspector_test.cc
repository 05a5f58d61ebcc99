// SPDX-License-Identifier: Apache-2.0
#include "eventlog/kafka/inspector.h"

#include <atomic>
#include <gtest/gtest.h>

#include "eventlog/kafka/test_cluster.h"

namespace dhub::kafka {
namespace {

// Publishes to topics that nobody has looked up yet, while no broker is there to be asked.
class WithoutBrokers : public testing::Test {
 protected:
  // The answers that came at once.
  int publish(int requests, std::size_t bytes) {
    for (int i = 0; i < requests; ++i) {
      PublishRequest request;
      request.topic = "unknown";
      request.messages = {Message{std::nullopt, {}, std::string(bytes, 'x'), {}}};
      log_->publish(std::move(request), [this](const Result<std::vector<Placement>>& placed) {
        ASSERT_FALSE(placed);
        EXPECT_EQ(placed.error().code, ErrorCode::Unavailable) << placed.error().message;
        if (placed.error().message.find("Too many") != std::string::npos) ++turned_away_;
        ++answered_;
      });
    }
    return answered_;
  }
  void stop() { log_.reset(); }

  std::atomic<int> answered_{0};
  std::atomic<int> turned_away_{0};

 private:
  FakeRegistry registry_;
  Logger logger_{LogFormat::Logfmt, LogLevel::Error, [](std::string_view) { return true; }};
  std::unique_ptr<KafkaLog> log_ =
      *KafkaLog::open({"main", {{"bootstrap.servers", "127.0.0.1:1"}}}, registry_, logger_);
};

TEST_F(WithoutBrokers, WhatWaitsForThemIsBoundedInBytes) {
  const int at_once = publish(90, 1U << 20);
  EXPECT_GE(at_once, 20);
  EXPECT_LE(at_once, 40);
  EXPECT_EQ(turned_away_, at_once);
  stop();
  EXPECT_EQ(answered_, 90) << "those that waited are told so in the end";
  EXPECT_EQ(turned_away_, at_once);
}

TEST_F(WithoutBrokers, WhatWaitsForThemIsBoundedInNumber) {
  const int at_once = publish(3000, 1);
  EXPECT_GE(at_once, 1000);
  EXPECT_EQ(turned_away_, at_once);
  stop();
  EXPECT_EQ(answered_, 3000);
}

}  // namespace
}  // namespace dhub::kafka
