// SPDX-License-Identifier: Apache-2.0
#include "runner/unanswered.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>

#include "wire/bytes.h"

namespace dhub::runner {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Answer = Unanswered::Answer;

std::string payload_of(const std::vector<std::uint64_t>& ids) {
  std::string payload;
  wire::put(payload, static_cast<std::uint32_t>(ids.size()));
  for (const std::uint64_t id : ids) {
    std::string delivery;
    wire::put(delivery, id);
    wire::put_string(payload, delivery + "the rest");
  }
  return payload;
}

const auto kAll = [](DeliveryId) { return true; };

TEST(Unanswered, EachIsAnsweredOnceInAnyOrder) {
  Unanswered unanswered;
  ASSERT_TRUE(unanswered.add(1, payload_of({11, 12, 20})));
  EXPECT_EQ(unanswered.open(), 3u);
  EXPECT_EQ(unanswered.answer(DeliveryId{12}), Answer::Passed);
  EXPECT_EQ(unanswered.answer(DeliveryId{12}), Answer::Unknown);
  EXPECT_FALSE(unanswered.is_open(DeliveryId{12}));
  EXPECT_TRUE(unanswered.is_open(DeliveryId{11}));
  EXPECT_EQ(unanswered.answer(DeliveryId{11}), Answer::Passed);
  EXPECT_EQ(unanswered.answer(DeliveryId{15}), Answer::Unknown);
  EXPECT_EQ(unanswered.answer(DeliveryId{20}), Answer::Passed);
  EXPECT_EQ(unanswered.open(), 0u);
  EXPECT_EQ(unanswered.answer(DeliveryId{20}), Answer::Unknown);
}

TEST(Unanswered, WhatIsClaimedIsSwallowedOnce) {
  Unanswered unanswered;
  ASSERT_TRUE(unanswered.add(1, payload_of({1, 2, 3})));
  ASSERT_TRUE(unanswered.add(2, payload_of({4})));
  ASSERT_TRUE(unanswered.add(3, payload_of({5})));
  EXPECT_EQ(unanswered.answer(DeliveryId{2}), Answer::Passed);
  EXPECT_THAT(unanswered.claim(2, [](DeliveryId id) { return id.value != 1; }),
              ElementsAre(DeliveryId{3}, DeliveryId{4}));
  EXPECT_EQ(unanswered.open(), 2u);
  EXPECT_THAT(unanswered.claim(2, [](DeliveryId id) { return id.value != 1; }), IsEmpty());
  EXPECT_EQ(unanswered.answer(DeliveryId{4}), Answer::Swallowed);
  EXPECT_EQ(unanswered.answer(DeliveryId{4}), Answer::Unknown);
  EXPECT_EQ(unanswered.answer(DeliveryId{1}), Answer::Passed);
  EXPECT_EQ(unanswered.answer(DeliveryId{3}), Answer::Swallowed);
  EXPECT_EQ(unanswered.answer(DeliveryId{5}), Answer::Passed);
  EXPECT_EQ(unanswered.open(), 0u);
}

TEST(Unanswered, WhatIsNoListOfRisingDeliveriesAddsNothing) {
  Unanswered unanswered;
  ASSERT_TRUE(unanswered.add(1, payload_of({7})));
  EXPECT_FALSE(unanswered.add(2, payload_of({8, 8})));
  EXPECT_FALSE(unanswered.add(2, payload_of({6})));
  EXPECT_FALSE(unanswered.add(2, payload_of({9, 10}).substr(0, 30)));
  EXPECT_FALSE(unanswered.add(2, "x"));
  EXPECT_EQ(unanswered.open(), 1u);
  EXPECT_THAT(unanswered.claim(9, kAll), ElementsAre(DeliveryId{7}));
}

}  // namespace
}  // namespace dhub::runner
