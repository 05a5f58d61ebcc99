// SPDX-License-Identifier: Apache-2.0
// Triggers on a topic of another cluster, which may be away, grow, and be looked at by others.
#include "tests/simulation/world_test.h"

namespace dhub::simulation {
namespace {

constexpr PartitionId kFirst{0};
constexpr PartitionId kSecond{1};

class ForeignTopicTest : public WorldTest {
 protected:
  ForeignTopicTest() {
    world_.create("p", R"({"event":"orders"})");
    Topic& topic = world_.disk.make_topic("orders", {}).topic;
    topic.cluster = "main";
    world_.disk.foreign_topics[topic.uid] = {topic.uid, topic.cluster, topic.name, ""};
  }
  void tell_readers() { world_.disk.on_append(world_.disk.topic("orders")->topic.uid, std::nullopt); }
  void append(std::int32_t partition, const std::string& value) {
    auto& topic = *world_.disk.topic("orders");
    topic.partitions[static_cast<std::size_t>(partition)].records.push_back(Message{std::nullopt, {}, value, {}});
    tell_readers();
  }
  std::map<PartitionId, Offset> noted() { return world_.server().event_log.noted["dhub.p"]; }
  service::Condition source() { return condition(status("p"), "Source"); }
};

// ---- partitions that come later ----

TEST_F(ForeignTopicTest, ANewPartitionIsTakenUpFromItsBeginning) {
  start("p");
  append(0, "a");
  ASSERT_TRUE(world_.run_until_drained("p"));
  world_.disk.add_partition("orders");
  append(1, "b");
  append(1, "c");
  ASSERT_TRUE(world_.run_until([&] { return world_.state("p", 1, 1) == FinalState::Succeeded; }));
  EXPECT_EQ(world_.state("p", 0, 1), FinalState::Succeeded);
  EXPECT_EQ(status("p").partitions.size(), 2U);
}

TEST_F(ForeignTopicTest, ANewPartitionIsSeenThoughItsTidingFollowsAnotherClosely) {
  start("p");
  ASSERT_TRUE(world_.run_for(1s));
  append(0, "a");
  world_.run_for(1ms);
  world_.disk.add_partition("orders");
  ASSERT_TRUE(world_.run_until([&] { return status("p").partitions.size() == 2; }, 1s));
}

TEST_F(ForeignTopicTest, ANewPartitionIsSeenThoughNothingWasKnownOfTheTopicWhenItCame) {
  start("p");
  ASSERT_TRUE(world_.run_for(1s));
  world_.disk.faults.refuse_topic = Error{ErrorCode::Unavailable, "away", {}};
  world_.disk.add_partition("orders");
  append(1, "a");
  ASSERT_TRUE(world_.run_for(1s));
  world_.disk.faults.refuse_topic.reset();
  EXPECT_TRUE(world_.run_until([&] { return world_.state("p", 0, 1) == FinalState::Succeeded; }, 2s));
}

TEST_F(ForeignTopicTest, WhatIsWaitedForIsAskedForAgainThoughItWasNotKnownThatThereIsMore) {
  start("p");
  ASSERT_TRUE(world_.run_for(1s));
  append(0, "a");
  ASSERT_TRUE(world_.run_for(20ms));
  world_.disk.reads_later = 1;
  world_.disk.faults.untold_arrival = 1;
  append(0, "b");
  ASSERT_TRUE(world_.run_for(500ms));
  world_.disk.faults = {};
  EXPECT_TRUE(world_.run_until_drained("p", 15s));
}

TEST_F(ForeignTopicTest, WhatCameWhileTheServerWasDownIsCovered) {
  start("p");
  ASSERT_TRUE(world_.shut_down(1s));
  world_.disk.topic("orders")->partitions.resize(2);
  world_.disk.topic("orders")->partitions[1].records.push_back(Message{std::nullopt, {}, "b", {}});
  world_.boot();
  ASSERT_TRUE(world_.run_until([&] { return world_.state("p", 0, 1) == FinalState::Succeeded; }));
}

TEST_F(ForeignTopicTest, WhatRetentionTookOfANewPartitionIsExpired) {
  start("p");
  ASSERT_TRUE(world_.shut_down(1s));
  auto& topic = *world_.disk.topic("orders");
  topic.partitions.resize(2);
  for (const char* value : {"a", "b", "c"}) topic.partitions[1].records.push_back(Message{std::nullopt, {}, value, {}});
  world_.disk.drop_records("orders", kSecond, 2);
  world_.boot();
  ASSERT_TRUE(world_.run_until([&] { return world_.state("p", 2, 1) == FinalState::Succeeded; }));
  EXPECT_EQ(world_.state("p", 1, 1), FinalState::Expired);
}

// ---- conditions ----

TEST_F(ForeignTopicTest, EachKindOfReadErrorHasItsReasonAndSomethingToDo) {
  start("p");
  const std::vector<std::pair<ErrorCode, std::string>> kinds = {
      {ErrorCode::Unavailable, "LogUnreachable"}, {ErrorCode::NotFound, "TopicGone"},
      {ErrorCode::Conflict, "TopicReplaced"},     {ErrorCode::PermissionDenied, "NotAuthorized"},
      {ErrorCode::Corruption, "LogTruncated"},    {ErrorCode::Internal, "ReadFailed"}};
  for (const auto& [code, reason] : kinds) {
    world_.disk.faults.refuse_reads = Error{code, "It is so.", {}};
    ASSERT_TRUE(world_.run_for(2s));
    tell_readers();
    ASSERT_TRUE(world_.run_for(1ms));
    EXPECT_FALSE(status("p").ready) << reason;
    EXPECT_EQ(source().reason, reason);
    EXPECT_EQ(source().message, "It is so.");
    EXPECT_NE(source().next_action, "");
    world_.disk.faults.refuse_reads.reset();
    tell_readers();
    ASSERT_TRUE(world_.run_for(1ms));
    EXPECT_TRUE(status("p").ready) << "after " << reason;
  }
}

TEST_F(ForeignTopicTest, WhatKeepsItFromLoadingIsToldByItsKind) {
  start("p");
  ASSERT_TRUE(world_.shut_down(1s));
  world_.disk.faults.refuse_topic = Error{ErrorCode::Conflict, "Another topic has the name.", {}};
  world_.boot();
  ASSERT_TRUE(world_.run_for(1s));
  EXPECT_EQ(source().reason, "TopicReplaced");
  world_.disk.faults.refuse_topic.reset();
}

TEST_F(ForeignTopicTest, WhileTheEndIsNotKnownNoLagIsTold) {
  start("p");
  append(0, "a");
  append(0, "b");
  ASSERT_TRUE(world_.run_until_drained("p"));
  ASSERT_TRUE(world_.shut_down(1s));
  world_.disk.faults.refuse_topic = Error{ErrorCode::Unavailable, "away"};
  world_.boot();
  ASSERT_TRUE(world_.run_for(1s));
  ASSERT_EQ(status("p").partitions.size(), 1U);
  EXPECT_EQ(status("p").partitions[0].cursor, Offset{2});
  EXPECT_FALSE(status("p").partitions[0].end_known);
  world_.disk.faults.refuse_topic.reset();
  ASSERT_TRUE(world_.run_until([&] { return status("p").ready; }));
  EXPECT_TRUE(status("p").partitions[0].end_known);
  EXPECT_EQ(status("p").partitions[0].end, Offset{2});
}

TEST_F(ForeignTopicTest, AJournalThatCannotBeReadIsNotTheLogsFault) {
  start("p");
  ASSERT_TRUE(world_.shut_down(1s));
  world_.disk.faults.refuse_loads = Error{ErrorCode::Unavailable, "The disk is busy.", {}};
  world_.boot();
  ASSERT_TRUE(world_.run_for(1s));
  EXPECT_EQ(source().reason, "CannotLoad");
}

// ---- cursors that others see ----

TEST_F(ForeignTopicTest, TheGroupIsToldWhatIsStored) {
  append(0, "before");
  start("p");
  ASSERT_TRUE(world_.run_for(1ms));
  EXPECT_EQ(noted()[kFirst], Offset{1}) << "where it begins";
  append(0, "a");
  ASSERT_TRUE(world_.run_until_drained("p"));
  ASSERT_TRUE(world_.run_for(2s));
  EXPECT_EQ(noted()[kFirst], Offset{2});
}

TEST_F(ForeignTopicTest, TheGroupIsToldAboutOnceASecondHoweverManyCommitsThereAre) {
  start("p");
  ASSERT_TRUE(world_.run_for(5s));
  const int before = world_.server().event_log.notes;
  for (int i = 0; i < 100; ++i) {
    append(0, "a");
    ASSERT_TRUE(world_.run_for(50ms));
  }
  EXPECT_LE(world_.server().event_log.notes - before, 7);
  EXPECT_GE(world_.server().event_log.notes - before, 4);
}

TEST_F(ForeignTopicTest, TheGroupIsToldTheLastCursorAtTheStop) {
  start("p");
  append(0, "a");
  ASSERT_TRUE(world_.run_until_drained("p"));
  ASSERT_TRUE(world_.stop("p"));
  EXPECT_EQ(noted()[kFirst], Offset{1});
}

TEST_F(ForeignTopicTest, ACommitThatIsNotStoredIsNotTold) {
  start("p");
  world_.disk.faults.refuse_commits = Error{ErrorCode::Unavailable, "The disk is busy.", {}};
  append(0, "a");
  ASSERT_TRUE(world_.run_for(5s));
  EXPECT_EQ(noted()[kFirst], Offset{0});
  world_.disk.faults.refuse_commits.reset();
  ASSERT_TRUE(world_.run_for(5s));
  EXPECT_EQ(noted()[kFirst], Offset{1});
}

TEST_F(ForeignTopicTest, OfAnEmbeddedTopicNobodyIsTold) {
  world_.create("q", R"({"event":"own"})");
  start("q");
  world_.publish("own", {"a"});
  ASSERT_TRUE(world_.run_until_drained("q"));
  ASSERT_TRUE(world_.run_for(2s));
  EXPECT_EQ(world_.server().event_log.notes, 0);
}

}  // namespace
}  // namespace dhub::simulation
