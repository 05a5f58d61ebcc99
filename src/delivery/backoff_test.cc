// SPDX-License-Identifier: Apache-2.0
#include "delivery/backoff.h"

#include <gtest/gtest.h>

namespace dhub::delivery {
namespace {

using std::chrono::seconds;

Duration delay(Backoff backoff, std::int32_t charged) {
  Random random(1);
  return retry_delay({10, backoff, seconds(1), seconds(120), false, false}, charged, random);
}

TEST(RetryDelay, ExponentialDoubles) {
  EXPECT_EQ(delay(Backoff::Exponential, 1), seconds(1));
  EXPECT_EQ(delay(Backoff::Exponential, 2), seconds(2));
  EXPECT_EQ(delay(Backoff::Exponential, 7), seconds(64));
}

TEST(RetryDelay, LinearAdds) {
  EXPECT_EQ(delay(Backoff::Linear, 1), seconds(1));
  EXPECT_EQ(delay(Backoff::Linear, 5), seconds(5));
}

TEST(RetryDelay, ConstantStays) {
  EXPECT_EQ(delay(Backoff::Constant, 9), seconds(1));
}

TEST(RetryDelay, IsBoundedHoweverManyHaveFailed) {
  for (const std::int32_t charged : {8, 64, 1000, std::numeric_limits<std::int32_t>::max()}) {
    EXPECT_EQ(delay(Backoff::Exponential, charged), seconds(120)) << charged;
    EXPECT_LE(delay(Backoff::Linear, charged), seconds(120)) << charged;
  }
}

TEST(RetryDelay, NoFailureCountsAsTheFirst) {
  EXPECT_EQ(delay(Backoff::Exponential, 0), seconds(1));
}

// Ten attempts with the defaults take about six minutes, as the contract of `retry` says.
TEST(RetryDelay, DefaultsAddUpToAboutSixMinutes) {
  RetryPolicy policy;
  policy.jitter = false;
  Random random(1);
  Duration sum{};
  for (std::int32_t charged = 1; charged < policy.max_attempts; ++charged) sum += retry_delay(policy, charged, random);
  EXPECT_GT(sum, std::chrono::minutes(4));
  EXPECT_LT(sum, std::chrono::minutes(9));
}

TEST(RetryDelay, JitterIsBetweenHalfAndWholeAndSpreads) {
  Random random(7);
  const RetryPolicy policy{10, Backoff::Constant, seconds(10), seconds(10), true, false};
  Duration least = Duration::max();
  Duration most{};
  for (int i = 0; i < 1000; ++i) {
    const Duration each = retry_delay(policy, 1, random);
    least = std::min(least, each);
    most = std::max(most, each);
  }
  EXPECT_GE(least, seconds(5));
  EXPECT_LE(most, seconds(10));
  EXPECT_GT(most - least, seconds(4));
}

}  // namespace
}  // namespace dhub::delivery
