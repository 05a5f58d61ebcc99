// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

#include "base/random.h"
#include "base/test_seed.h"
#include "tests/conformance/harness.h"

namespace dhub::conformance {

class EventLogConformance : public Suite {
 protected:
  Topic topic(const std::string& name) {
    auto found = log().topic(name);
    EXPECT_TRUE(found) << (found ? "" : found.error().message);
    return found.value_or(Topic{});
  }
  std::vector<Placement> must_publish(const std::string& name, std::vector<Message> messages) {
    auto placed = publish(log(), to_topic(name, std::move(messages)));
    EXPECT_TRUE(placed) << (placed ? "" : placed.error().message);
    return placed.value_or(std::vector<Placement>{});
  }
  Topic make_topic(const std::string& name, std::int32_t partitions) {
    TopicSettings settings;
    settings.partitions = partitions;
    auto made = log().create_topic(name, settings);
    EXPECT_TRUE(made) << (made ? "" : made.error().message);
    return made.value_or(Topic{});
  }
};

TEST_P(EventLogConformance, MessagesAreReadBackByteForByte) {
  const WallTime odd{harness().is_its_own_log() ? -1 : 1};  // Kafka's clients have no time before 1970
  std::vector<Message> messages = {
      {"k", {{"h", "1"}, {"h", std::nullopt}, {"", ""}}, std::string("\0\xff value", 8), WallTime{1234}},
      {std::nullopt, {}, std::nullopt, WallTime{5678}},
      {"", {}, "", odd}};
  must_publish("orders", messages);
  EXPECT_EQ(read_all(log(), topic("orders").uid), messages);
}

TEST_P(EventLogConformance, OffsetsAreDenseFromZeroAndAnsweredInOrder) {
  const auto first = must_publish("orders", {text("a"), text("b")});
  const auto second = must_publish("orders", {text("c")});
  ASSERT_EQ(first.size(), 2U);
  EXPECT_EQ(first[0].offset, Offset{0});
  EXPECT_EQ(first[1].offset, Offset{1});
  EXPECT_EQ(second.at(0).offset, Offset{2});
  EXPECT_EQ(topic("orders").partitions.at(0).end, Offset{3});
}

TEST_P(EventLogConformance, AKeyGoesToThePartitionThatKafkasClientWouldChoose) {
  make_topic("orders", 7);
  for (const std::string key : {"a", "b", "customer-17", ""}) {
    const auto placed = must_publish("orders", {text("x", key), text("y", key)});
    for (const auto& placement : placed) EXPECT_EQ(placement.partition, partition_of(key, 7)) << key;
  }
}

TEST_P(EventLogConformance, MessagesWithoutKeyOfOneRequestStayTogetherAndRequestsSpread) {
  if (!harness().is_its_own_log()) GTEST_SKIP() << "others own the topics of this log";
  make_topic("orders", 4);
  std::set<std::int32_t> used;
  for (int i = 0; i < 8; ++i) {
    const auto placed = must_publish("orders", {text("a"), text("b"), text("c")});
    for (const auto& placement : placed) EXPECT_EQ(placement.partition, placed.at(0).partition);
    used.insert(placed.at(0).partition.value);
  }
  EXPECT_EQ(used.size(), 4U);
}

TEST_P(EventLogConformance, ATimestampIsGivenWhenThereIsNoneAndKeptOtherwise) {
  Message stamped = text("mine");
  stamped.timestamp = WallTime{42};
  must_publish("orders", {text("yours"), stamped});
  const auto messages = read_all(log(), topic("orders").uid);
  EXPECT_GT(messages.at(0).timestamp, WallTime{42});
  EXPECT_EQ(messages.at(1).timestamp, WallTime{42});
}

TEST_P(EventLogConformance, PublishingMakesTheTopicUnlessToldNotTo) {
  auto request = to_topic("orders", {text("a")});
  request.create_topic = false;
  EXPECT_EQ(code_of(publish(log(), request)), ErrorCode::NotFound);
  EXPECT_EQ(code_of(log().topic("orders")), ErrorCode::NotFound);
  must_publish("orders", {text("a")});
  EXPECT_EQ(topic("orders").settings.partitions, 1);
}

TEST_P(EventLogConformance, BadNamesAndMessagesAreRefusedAndStoreNothing) {
  if (!harness().is_its_own_log()) GTEST_SKIP() << "others own the topics of this log";
  EXPECT_EQ(code_of(publish(log(), to_topic("a/b", {text("a")}))), ErrorCode::InvalidArgument);
  EXPECT_EQ(code_of(log().create_topic("..", {})), ErrorCode::InvalidArgument);
  Message long_header = text("a");
  long_header.headers.push_back({std::string(70000, 'h'), "v"});
  EXPECT_EQ(code_of(publish(log(), to_topic("orders", {text("first"), long_header}))), ErrorCode::InvalidArgument);
  EXPECT_EQ(code_of(log().topic("orders")), ErrorCode::NotFound);
}

TEST_P(EventLogConformance, AnEmptyRequestSucceedsAndPlacesNothing) {
  EXPECT_TRUE(must_publish("orders", {}).empty());
}

TEST_P(EventLogConformance, ATopicIsMadeOnceAndItsPartitionsStay) {
  if (!harness().is_its_own_log()) GTEST_SKIP() << "others own the topics of this log";
  const Topic made = make_topic("orders", 3);
  EXPECT_EQ(made.partitions.size(), 3U);
  EXPECT_EQ(code_of(log().create_topic("orders", {})), ErrorCode::AlreadyExists);
  EXPECT_EQ(log().ensure_topic("orders")->uid, made.uid);
  TopicSettings settings = made.settings;
  settings.retention_bytes = 4096;
  EXPECT_EQ(log().update_topic("orders", settings)->settings.retention_bytes, 4096U);
  settings.partitions = 4;
  EXPECT_EQ(code_of(log().update_topic("orders", settings)), ErrorCode::Conflict);
  EXPECT_EQ(code_of(log().update_topic("none", made.settings)), ErrorCode::NotFound);
}

TEST_P(EventLogConformance, TopicsAreListedByNameInPages) {
  for (const char* name : {"c", "a", "b"}) ASSERT_TRUE(log().ensure_topic(name));
  const auto first = log().topics("", 2);
  ASSERT_EQ(first->size(), 2U);
  EXPECT_EQ(first->at(0).name, "a");
  EXPECT_EQ(first->at(1).name, "b");
  const auto rest = log().topics("b", 2);
  ASSERT_EQ(rest->size(), 1U);
  EXPECT_EQ(rest->at(0).name, "c");
}

TEST_P(EventLogConformance, ADeletedTopicIsGoneAndANewOneOfItsNameIsAnother) {
  if (!harness().is_its_own_log()) GTEST_SKIP() << "others own the topics of this log";
  must_publish("orders", {text("old")});
  const TopicUid old = topic("orders").uid;
  ASSERT_TRUE(log().delete_topic("orders"));
  EXPECT_EQ(code_of(log().topic("orders")), ErrorCode::NotFound);
  EXPECT_EQ(code_of(log().read(old, {}, {}, 1024)), ErrorCode::NotFound);
  EXPECT_EQ(code_of(log().delete_topic("orders")), ErrorCode::NotFound);
  EXPECT_EQ(must_publish("orders", {text("new")}).at(0).offset, Offset{0});
  EXPECT_GT(topic("orders").uid, old);
  EXPECT_EQ(values_of(read_all(log(), topic("orders").uid)), std::vector<std::string>{"new"});
}

TEST_P(EventLogConformance, ATopicThatATriggerListensOnIsNotDeleted) {
  if (!harness().is_its_own_log()) GTEST_SKIP() << "others own the topics of this log";
  const Topic orders = make_topic("orders", 1);
  const auto pipeline = catalog().create_pipeline(pipeline_content("p"));
  StartTrigger start;
  start.pipeline = pipeline->uid;
  start.version = pipeline->version;
  start.topic = orders.uid;
  ASSERT_TRUE(start_trigger_now(catalog(), start));
  EXPECT_EQ(code_of(log().delete_topic("orders")), ErrorCode::Conflict);
  ASSERT_TRUE(set_desired_now(catalog(), pipeline->uid, DesiredState::Paused));
  EXPECT_EQ(code_of(log().delete_topic("orders")), ErrorCode::Conflict);
  ASSERT_TRUE(set_desired_now(catalog(), pipeline->uid, DesiredState::Stopped));
  EXPECT_TRUE(log().delete_topic("orders"));
}

TEST_P(EventLogConformance, ReadingBeginsWhereItIsToldAndSaysWhereToGoOn) {
  must_publish("orders", {text("a"), text("b"), text("c")});
  const TopicUid uid = topic("orders").uid;
  const auto middle = log().read(uid, {}, Offset{1}, 1U << 20);
  ASSERT_TRUE(middle);
  ASSERT_EQ(middle->batch->records.size(), 2U);
  EXPECT_EQ(middle->batch->records[0].offset, Offset{1});
  EXPECT_EQ(middle->batch->records[0].value, "b");
  EXPECT_EQ(middle->next_offset, Offset{3});
  if (harness().is_its_own_log()) {
    EXPECT_TRUE(middle->end_reached);  // a broker says so only when it has nothing more to give
  }
  const auto end = log().read(uid, {}, Offset{3}, 1U << 20);
  ASSERT_TRUE(end);
  EXPECT_TRUE(end->batch->records.empty());
  EXPECT_EQ(end->next_offset, Offset{3});
  EXPECT_TRUE(end->end_reached);
  EXPECT_EQ(code_of(log().read(uid, PartitionId{1}, {}, 1024)), ErrorCode::NotFound);
  EXPECT_EQ(code_of(log().read(TopicUid{4711}, {}, {}, 1024)), ErrorCode::NotFound);
}

TEST_P(EventLogConformance, AReadGivesAboutWhatWasAskedForAndAtLeastOne) {
  std::vector<Message> messages;
  for (int i = 0; i < 100; ++i) messages.push_back(text(std::string(1000, 'x')));
  must_publish("orders", messages);
  const TopicUid uid = topic("orders").uid;
  EXPECT_EQ(log().read(uid, {}, {}, 1)->batch->records.size(), 1U);
  const auto some = log().read(uid, {}, Offset{50}, 10000);
  EXPECT_GE(some->batch->records.size(), 9U);
  EXPECT_LE(some->batch->records.size(), 12U);
  EXPECT_LT(some->batch->buffer.size(), 50000U) << "a held event must not keep its neighbours in memory";
  EXPECT_FALSE(some->end_reached);
}

TEST_P(EventLogConformance, WhateverIsPublishedInWhateverPiecesIsReadBackInWhateverPieces) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed);
  Random random(seed);
  std::vector<std::string> expected;
  const int requests = harness().is_its_own_log() ? 60 : 6;  // each read is a question to a broker
  for (int request = 0; request < requests; ++request) {
    std::vector<Message> messages;
    for (std::uint64_t n = random.below(20); n > 0; --n) {
      // Now and then one that is larger than a stored batch.
      messages.push_back(text(random.id(random.below(100) == 0 ? 300000 : random.below(3000))));
      expected.push_back(*messages.back().value);
    }
    must_publish("orders", messages);
  }
  const TopicUid uid = topic("orders").uid;
  for (const std::size_t piece : {1UL, 5000UL, 100000UL, 100000000UL})
    EXPECT_EQ(values_of(read_all(log(), uid, {}, {}, piece)), expected) << piece;
}

TEST_P(EventLogConformance, AnIdempotencyKeyAnswersTheFirstPlacementsAgain) {
  if (!harness().is_its_own_log()) GTEST_SKIP() << "others own the topics of this log";
  auto request = to_topic("orders", {text("a"), text("b")});
  request.idempotency_key = "once";
  const auto first = publish(log(), request);
  ASSERT_TRUE(first);
  must_publish("orders", {text("between")});
  const auto again = publish(log(), request);
  ASSERT_TRUE(again);
  ASSERT_EQ(again->size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) EXPECT_EQ(again->at(i).offset, first->at(i).offset);
  EXPECT_EQ(values_of(read_all(log(), topic("orders").uid)), (std::vector<std::string>{"a", "b", "between"}));
}

TEST_P(EventLogConformance, AnIdempotencyKeyIsForOneContentOfOneTopicForADay) {
  if (!harness().is_its_own_log()) GTEST_SKIP() << "others own the topics of this log";
  auto request = to_topic("orders", {text("a")});
  request.idempotency_key = "once";
  ASSERT_TRUE(publish(log(), request));
  auto other = request;
  other.messages = {text("b")};
  EXPECT_EQ(code_of(publish(log(), other)), ErrorCode::Conflict);
  other.topic = "invoices";
  EXPECT_TRUE(publish(log(), other));
  harness().reopen();
  EXPECT_EQ(publish(log(), request)->at(0).offset, Offset{0});
  harness().advance(std::chrono::hours(25));
  EXPECT_EQ(publish(log(), request)->at(0).offset, Offset{1});
}

TEST_P(EventLogConformance, AWatchIsToldOfEveryAppendAndOfNoneAfterItIsGone) {
  if (!harness().is_its_own_log()) GTEST_SKIP() << "others own the topics of this log";
  const TopicUid uid = log().ensure_topic("orders")->uid;
  const TopicUid other = log().ensure_topic("invoices")->uid;
  std::atomic<int> told{0};
  std::atomic<int> told_other{0};
  auto watch = log().open_reader(uid, [&](std::optional<PartitionId>) { ++told; });
  const auto watch_other = log().open_reader(other, [&](std::optional<PartitionId>) { ++told_other; });
  must_publish("orders", {text("a")});
  must_publish("orders", {text("b")});
  // The word may come after the answer, but before that of a later append.
  must_publish("invoices", {text("c")});
  EXPECT_GE(told.load(), 2);
  watch.reset();
  const int before = told.load();
  must_publish("orders", {text("d")});
  must_publish("orders", {text("e")});
  EXPECT_EQ(told.load(), before);
  EXPECT_EQ(told_other.load(), 1);
}

TEST_P(EventLogConformance, AWatchIsToldWhichPartitionsGrew) {
  if (!harness().is_its_own_log()) GTEST_SKIP() << "others own the topics of this log";
  make_topic("orders", 7);
  std::set<std::optional<PartitionId>> told;
  std::mutex mutex;
  const auto watch = log().open_reader(topic("orders").uid, [&](std::optional<PartitionId> partition) {
    std::lock_guard lock(mutex);
    told.insert(partition);
  });
  std::set<std::optional<PartitionId>> grown;
  for (const char* key : {"k", "another"}) {
    for (const auto& placement : must_publish("orders", {text("a", key), text("b", key)}))
      grown.insert(placement.partition);
    log().ensure_topic(std::string("after-") + key).value();  // the word may come after the answer, but before this
    std::lock_guard lock(mutex);
    EXPECT_EQ(told, grown);
  }
}

TEST_P(EventLogConformance, EverythingIsThereAfterReopening) {
  make_topic("orders", 3);
  std::map<std::int32_t, std::vector<std::string>> expected;
  for (int i = 0; i < 50; ++i) {
    const std::string value = "v" + std::to_string(i);
    expected[must_publish("orders", {text(value)}).at(0).partition.value].push_back(value);
  }
  const TopicUid uid = topic("orders").uid;
  harness().reopen();
  EXPECT_EQ(topic("orders").uid, uid);
  for (const auto& [partition, values] : expected)
    EXPECT_EQ(values_of(read_all(log(), uid, PartitionId{partition})), values);
  EXPECT_EQ(must_publish("orders", {text("x", "k")}).at(0).offset,
            Offset{static_cast<std::int64_t>(expected[partition_of("k", 3).value].size())});
}

TEST_P(EventLogConformance, ConcurrentPublishersLoseNothingAndKeepTheirOwnOrder) {
  if (!harness().thread_safe()) GTEST_SKIP() << "this adapter lives on one thread, the test needs several";
  constexpr int kPublishers = 4;
  constexpr int kRequests = 100;
  log().ensure_topic("orders").value();
  std::vector<std::jthread> threads;
  for (int publisher = 0; publisher < kPublishers; ++publisher)
    threads.emplace_back([this, publisher] {
      for (int i = 0; i < kRequests; ++i) {
        const std::string value = std::to_string(publisher) + ":" + std::to_string(i);
        EXPECT_TRUE(publish(log(), to_topic("orders", {text(value), text(value + "b")})));
      }
    });
  threads.clear();
  const auto values = values_of(read_all(log(), topic("orders").uid));
  ASSERT_EQ(values.size(), 2U * kPublishers * kRequests);
  std::map<std::string, std::size_t> next;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::string publisher = values[i].substr(0, values[i].find(':'));
    const std::size_t turn = next[publisher]++;
    EXPECT_EQ(values[i], publisher + ':' + std::to_string(turn / 2) + (turn % 2 == 1 ? "b" : ""));
    if (harness().is_its_own_log() && turn % 2 == 1) {
      EXPECT_EQ(values[i], values[i - 1] + "b") << "a request is never split by another";
    }
  }
}

TEST_P(EventLogConformance, AReaderThatFollowsTheWatchSeesEveryMessageWhileTheyArePublished) {
  if (!harness().thread_safe()) GTEST_SKIP() << "this adapter lives on one thread, the test needs two";
  constexpr int kMessages = 300;
  const TopicUid uid = log().ensure_topic("orders")->uid;
  std::mutex mutex;
  std::condition_variable grew;
  bool word = true;
  const auto watch = log().open_reader(uid, [&](std::optional<PartitionId>) {
    std::lock_guard lock(mutex);
    word = true;
    grew.notify_one();
  });
  std::jthread publisher([this] {
    for (int i = 0; i < kMessages; ++i) EXPECT_TRUE(publish(log(), to_topic("orders", {text(std::to_string(i))})));
  });
  std::vector<std::string> seen;
  Offset at{};
  while (seen.size() < kMessages) {
    std::unique_lock lock(mutex);
    ASSERT_TRUE(grew.wait_for(lock, std::chrono::seconds(30), [&] { return word; })) << "word of growth was lost";
    word = false;
    lock.unlock();
    for (bool end = false; !end;) {
      const auto read = log().read(uid, {}, at, 100);
      ASSERT_TRUE(read) << read.error().message;
      for (const auto& record : read->batch->records) seen.emplace_back(*record.value);
      at = read->next_offset;
      end = read->end_reached;
    }
  }
  for (int i = 0; i < kMessages; ++i) EXPECT_EQ(seen[static_cast<std::size_t>(i)], std::to_string(i));
}

}  // namespace dhub::conformance
