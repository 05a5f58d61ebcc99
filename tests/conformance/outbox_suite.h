// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <limits>

#include "tests/conformance/harness.h"

namespace dhub::conformance {

class OutboxConformance : public Suite {
 protected:
  void SetUp() override {
    Suite::SetUp();
    StartTrigger request;
    request.pipeline = catalog().create_pipeline(pipeline_content("p"))->uid;
    request.version = Version{1};
    request.topic = log().ensure_topic("orders")->uid;
    position_ = start_trigger_now(catalog(), request)->trigger.position;
    load();
  }
  void load() {
    owner_ = *load_now(journal(), position_);
    seq_ = 0;
  }
  JournalCommit next(std::vector<Publication> publications) {
    JournalCommit content;
    content.position = position_;
    content.owner_epoch = owner_.owner_epoch;
    content.pass = owner_.pass;
    content.seq = CommitSeq{++seq_};
    content.publications = std::move(publications);
    return content;
  }
  void post(std::vector<Publication> publications) {
    const auto answer = commit(journal(), next(std::move(publications)));
    ASSERT_TRUE(answer) << answer.error().message;
  }
  std::vector<OutboxEntry> pending(const std::string& topic, std::int64_t after = 0, std::size_t limit = kAll,
                                   std::size_t bytes = kAll) {
    const auto entries = outbox().pending(topic, after, limit, bytes);
    EXPECT_TRUE(entries) << (entries ? "" : entries.error().message);
    return entries.value_or(std::vector<OutboxEntry>{});
  }
  std::vector<std::string> values(const std::string& topic) {
    std::vector<std::string> found;
    for (const auto& entry : pending(topic)) found.push_back(entry.message.value.value_or("<null>"));
    return found;
  }
  void remove(const std::string& topic, std::int64_t number) {
    std::promise<Status> removed;
    outbox().remove(topic, number, [&](Status status) { removed.set_value(std::move(status)); });
    EXPECT_TRUE(removed.get_future().get());
  }
  using Values = std::vector<std::string>;
  static constexpr std::size_t kAll = std::numeric_limits<std::int32_t>::max();

  PositionUid position_{};
  LoadedPosition owner_;
  std::int64_t seq_ = 0;
};

TEST_P(OutboxConformance, AnEntryIsKeptWholeAcrossARestart) {
  const Message message{"key", {{"h", std::nullopt}, {"h", "2"}}, std::string("\0v", 2), WallTime{77}};
  post({{"kafka/out", message}});
  harness().reopen();
  const auto entries = pending("kafka/out");
  ASSERT_EQ(entries.size(), 1U);
  EXPECT_EQ(entries[0].topic, "kafka/out");
  EXPECT_EQ(entries[0].message, message);
  EXPECT_GT(entries[0].number, 0);
  EXPECT_EQ(*outbox().topics(), Values{"kafka/out"});
  EXPECT_EQ(outbox().backlog("kafka/out")->entries, 1);
}

TEST_P(OutboxConformance, AMessageWithoutATimeGetsThatOfItsCommit) {
  post({{"kafka/out", text("x")}});
  const WallTime stamped = pending("kafka/out").at(0).message.timestamp;
  EXPECT_GT(stamped.ms, 0);
  harness().advance(std::chrono::seconds(5));
  EXPECT_EQ(pending("kafka/out").at(0).message.timestamp, stamped);
}

TEST_P(OutboxConformance, TopicsAreApartAndEachKeepsTheOrderOfTheCommits) {
  post({{"kafka/a", text("1")}, {"other/a", text("x")}, {"kafka/b", text("y")}, {"kafka/a", text("2")}});
  post({{"kafka/a", text("3")}});
  EXPECT_EQ(values("kafka/a"), (Values{"1", "2", "3"}));
  EXPECT_EQ(values("kafka/b"), Values{"y"});
  EXPECT_EQ(values("other/a"), Values{"x"});
  EXPECT_EQ(*outbox().topics(), (Values{"kafka/a", "kafka/b", "other/a"}));
  EXPECT_TRUE(values("kafka/nowhere").empty());
  const auto entries = pending("kafka/a");
  EXPECT_TRUE(
      std::is_sorted(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.number < b.number; }));
}

TEST_P(OutboxConformance, EmbeddedTopicsAreNotItsBusinessWithOrWithoutTheirCluster) {
  post({{"out", text("1")}, {"embedded/out", text("2")}, {"kafka/out", text("3")}, {"out", text("4")}});
  EXPECT_EQ(values_of(read_all(log(), log().topic("out")->uid)), (Values{"1", "2", "4"}));
  EXPECT_EQ(*outbox().topics(), Values{"kafka/out"});
}

TEST_P(OutboxConformance, ItIsReadInPieces) {
  post({{"kafka/a", text("1")}, {"kafka/b", text("x")}, {"kafka/a", text("2")}, {"kafka/a", text("3")}});
  const auto first = pending("kafka/a", 0, 2);
  ASSERT_EQ(first.size(), 2U);
  const auto rest = pending("kafka/a", first.back().number, 2);
  ASSERT_EQ(rest.size(), 1U);
  EXPECT_EQ(rest[0].message.value, "3");
  EXPECT_EQ(pending("kafka/a", 0, kAll, 1).size(), 1U) << "at least one";
  EXPECT_EQ(pending("kafka/a", 0, kAll, 0).size(), 1U);
  EXPECT_TRUE(pending("kafka/a", rest[0].number).empty());
}

TEST_P(OutboxConformance, WhatIsRemovedIsGoneForGoodAndNumbersAreNotUsedAgain) {
  post({{"kafka/a", text("1")}, {"kafka/b", text("x")}, {"kafka/a", text("2")}, {"kafka/a", text("3")}});
  const auto entries = pending("kafka/a");
  remove("kafka/a", entries[1].number);
  EXPECT_EQ(values("kafka/a"), Values{"3"});
  remove("kafka/a", entries[0].number);
  remove("kafka/a", entries[2].number);
  EXPECT_EQ(*outbox().topics(), Values{"kafka/b"});
  EXPECT_EQ(outbox().backlog("kafka/a")->entries, 0);
  EXPECT_EQ(outbox().backlog("kafka/a")->bytes, 0);
  harness().reopen();
  EXPECT_EQ(*outbox().topics(), Values{"kafka/b"});
  load();
  post({{"kafka/a", text("4")}});
  EXPECT_GT(pending("kafka/a").at(0).number, entries[2].number);
}

TEST_P(OutboxConformance, TheBacklogCountsWhatWaitsAlsoAfterARestart) {
  post({{"kafka/a", text(std::string(1000, 'x'))}, {"kafka/a", text("y")}});
  const auto before = *outbox().backlog("kafka/a");
  EXPECT_EQ(before.entries, 2);
  EXPECT_GT(before.bytes, 1000);
  harness().reopen();
  EXPECT_EQ(outbox().backlog("kafka/a")->entries, 2);
  EXPECT_EQ(outbox().backlog("kafka/a")->bytes, before.bytes);
  remove("kafka/a", pending("kafka/a").at(0).number);
  EXPECT_LT(outbox().backlog("kafka/a")->bytes, 1000);
}

TEST_P(OutboxConformance, ACommitThatIsRefusedOrAppliedBeforePostsNothing) {
  auto applied = next({{"kafka/a", text("1")}});
  ASSERT_TRUE(commit(journal(), applied));
  EXPECT_EQ(*commit(journal(), applied), CommitAnswer::Already);
  auto refused = next({{"kafka/a", text("2")}});
  refused.partitions = {{PartitionId{0}, Offset{5}, Offset{5}}};  // past what is not finished
  EXPECT_EQ(code_of(commit(journal(), refused)), ErrorCode::Internal);
  EXPECT_EQ(values("kafka/a"), Values{"1"});
  EXPECT_EQ(outbox().backlog("kafka/a")->entries, 1);
}

TEST_P(OutboxConformance, AWatchHearsOfEachTopicThatGrewUntilItIsGone) {
  Values heard;
  auto watch = outbox().watch([&](const std::string& topic) { heard.push_back(topic); });
  post({{"kafka/a", text("1")}, {"kafka/b", text("2")}, {"kafka/a", text("x")}});
  std::sort(heard.begin(), heard.end());
  EXPECT_EQ(heard, (Values{"kafka/a", "kafka/b"}));
  heard.clear();
  post({{"out", text("1")}});
  remove("kafka/a", kAll);
  EXPECT_TRUE(heard.empty());
  watch.reset();
  post({{"kafka/a", text("3")}});
  EXPECT_TRUE(heard.empty());
}

}  // namespace dhub::conformance
