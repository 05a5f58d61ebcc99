// SPDX-License-Identifier: Apache-2.0
#include "delivery/batch_holds.h"

#include <gtest/gtest.h>

namespace dhub::delivery {
namespace {

RecordBatchRef batch(std::size_t bytes) {
  auto made = std::make_shared<RecordBatch>();
  made->buffer = std::string(bytes, 'x');
  return made;
}

TEST(BatchHolds, CountABatchOnceHoweverManyEventsHoldIt) {
  BatchHolds holds;
  const auto one = batch(1000);
  const auto first = holds.hold(one);
  const auto second = holds.hold(one);
  EXPECT_EQ(holds.bytes(), 1000U);
  holds.release(first);
  EXPECT_EQ(holds.bytes(), 1000U);
  holds.release(second);
  EXPECT_EQ(holds.bytes(), 0U);
}

TEST(BatchHolds, ReleaseTheBatchWithItsLastEvent) {
  BatchHolds holds;
  auto one = batch(10);
  const std::weak_ptr<const RecordBatch> watch = one;
  const auto id = holds.hold(one);
  one.reset();
  EXPECT_FALSE(watch.expired());
  holds.release(id);
  EXPECT_TRUE(watch.expired());
}

TEST(BatchHolds, BatchThatComesBackAfterItsReleaseCountsAnew) {
  BatchHolds holds;
  const auto one = batch(10);
  const auto two = batch(100);
  holds.release(holds.hold(one));
  const auto b = holds.hold(two);
  const auto a = holds.hold(one);
  EXPECT_EQ(holds.bytes(), 110U);
  holds.release(b);
  holds.release(a);
  EXPECT_EQ(holds.bytes(), 0U);
}

TEST(BatchHolds, BatchOfOneHasABufferOfItsOwn) {
  RecordBatchRef copy;
  {
    std::string buffer;
    Message message{"key", {{"h", "1"}}, "value", WallTime{5}};
    const std::string headers = encode_headers(message.headers);
    RecordView record = view_of(message, headers);
    record.offset = Offset{42};
    copy = batch_of_one(record);
  }
  ASSERT_EQ(copy->records.size(), 1U);
  EXPECT_EQ(copy->records[0].offset, Offset{42});
  EXPECT_EQ(*to_message(copy->records[0]), (Message{"key", {{"h", "1"}}, "value", WallTime{5}}));
}

}  // namespace
}  // namespace dhub::delivery
