// SPDX-License-Identifier: Apache-2.0
// Where a trigger begins when its user says more than earliest or latest.
#include "tests/simulation/world_test.h"

namespace dhub::simulation {
namespace {

using testing::ElementsAre;

// A topic with two partitions of five messages each, and a group that stands in the first.
class StartOffsetsTest : public WorldTest {
 protected:
  StartOffsetsTest() {
    world_.create("p", R"({"event":"orders"})");
    SimTopic& topic = world_.disk.make_topic("orders", {.partitions = 2});
    for (auto& partition : topic.partitions)
      for (const char* value : {"a", "b", "c", "d", "e"})
        partition.records.push_back(Message{std::nullopt, {}, value, {}});
    world_.disk.groups[topic.topic.uid]["billing"] = {{PartitionId{0}, Offset{3}}};
  }
  Result<service::Started> start_with_group(const std::string& group) {
    return world_.start({.pipeline_id = "p", .version = {}, .from = StartFrom::Committed, .group = group});
  }
  Result<service::Started> start_at(std::vector<StartOffset> offsets) {
    return world_.start({.pipeline_id = "p", .version = {}, .from = {}, .offsets = std::move(offsets)});
  }
  Offsets begun_in(std::int32_t partition) {
    Offsets offsets;
    for (std::int64_t offset = 0; offset < 5; ++offset)
      if (world_.state("p", offset, partition) == FinalState::Succeeded) offsets.push_back(offset);
    return offsets;
  }
};

TEST_F(StartOffsetsTest, AGroupsOffsetsAreTakenOverAndWhatItDidNotKnowBeginsAtItsStart) {
  const auto started = start_with_group("billing");
  ASSERT_TRUE(started) << started.error().message;
  EXPECT_TRUE(started->resumed);
  EXPECT_EQ(started->backlog, 2 + 5);
  EXPECT_EQ(started->group, service::GroupUse::Adopted);
  ASSERT_TRUE(world_.run_until_drained("p"));
  EXPECT_THAT(begun_in(0), ElementsAre(3, 4));
  EXPECT_THAT(begun_in(1), ElementsAre(0, 1, 2, 3, 4));
}

TEST_F(StartOffsetsTest, AStartThatIsRepeatedKeepsThePositionOfTheTrigger) {
  ASSERT_TRUE(start_with_group("billing"));
  ASSERT_TRUE(world_.run_until_drained("p"));
  ASSERT_TRUE(world_.stop("p"));
  const auto again = start_with_group("billing");
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->backlog, 0);
  EXPECT_EQ(again->group, service::GroupUse::PassedOver);
  ASSERT_TRUE(start_with_group("never-heard-of")) << "nobody is asked";
}

TEST_F(StartOffsetsTest, AGroupThatHasCommittedNothingIsRefusedAndNothingStarts) {
  const auto started = start_with_group("never-heard-of");
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().code, ErrorCode::NotFound);
  EXPECT_THAT(started.error().message, testing::HasSubstr("never-heard-of"));
  EXPECT_EQ(status("p").trigger.desired, DesiredState::Stopped);
}

TEST_F(StartOffsetsTest, AGroupThatStandsBeyondTheEndIsRefusedAndNothingStarts) {
  auto& groups = world_.disk.groups.begin()->second;
  groups["of-an-earlier-topic"] = {{PartitionId{1}, Offset{6}}};
  groups["of-more-partitions"] = {{PartitionId{2}, Offset{0}}};
  groups["at-the-end"] = {{PartitionId{1}, Offset{5}}};
  for (const char* group : {"of-an-earlier-topic", "of-more-partitions"}) {
    const auto started = start_with_group(group);
    ASSERT_FALSE(started) << group;
    EXPECT_EQ(started.error().code, ErrorCode::Conflict);
    EXPECT_THAT(started.error().message, testing::HasSubstr(group));
  }
  EXPECT_EQ(status("p").trigger.desired, DesiredState::Stopped);
  EXPECT_TRUE(start_with_group("at-the-end"));
}

TEST_F(StartOffsetsTest, OffsetsAreTakenAsTheyAreSaidAndOtherPartitionsStayWhereTheyAre) {
  ASSERT_TRUE(start_at({{PartitionId{1}, Offset{4}}}));
  ASSERT_TRUE(world_.run_until_drained("p"));
  EXPECT_THAT(begun_in(0), ElementsAre()) << "at the end, as without a position";
  EXPECT_THAT(begun_in(1), ElementsAre(4));
  ASSERT_TRUE(start_at({{PartitionId{0}, Offset{2}}}));
  ASSERT_TRUE(world_.run_until_drained("p"));
  EXPECT_THAT(begun_in(0), ElementsAre(2, 3, 4));
  EXPECT_THAT(begun_in(1), ElementsAre(4)) << "it was not named";
}

TEST_F(StartOffsetsTest, OffsetsThatCannotBeAreRefused) {
  for (const StartOffset wrong : {StartOffset{PartitionId{2}, Offset{0}}, StartOffset{PartitionId{0}, Offset{6}}}) {
    const auto started = start_at({wrong});
    ASSERT_FALSE(started);
    EXPECT_EQ(started.error().code, ErrorCode::InvalidArgument);
  }
  EXPECT_TRUE(start_at({{PartitionId{0}, Offset{5}}})) << "the end";
}

}  // namespace
}  // namespace dhub::simulation
