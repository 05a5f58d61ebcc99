// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/clean_up.h"

#include <gtest/gtest.h>

#include "store/sqlite/store_harness_test.h"

namespace dhub::store {
namespace {

using conformance::code_of;
using conformance::publish;
using conformance::read_all;
using conformance::text;
using conformance::to_topic;

class Retention : public testing::Test {
 protected:
  Topic make(Duration age, std::uint64_t bytes) {
    TopicSettings settings;
    settings.retention_age = age;
    settings.retention_bytes = bytes;
    return harness_.event_log().create_topic("orders", settings).value();
  }
  void send(const std::string& value) { ASSERT_TRUE(publish(harness_.event_log(), to_topic("orders", {text(value)}))); }
  PartitionRange range() { return harness_.event_log().topic("orders")->partitions.at(0); }
  std::int64_t rows(const char* table) {
    auto db = Connection::open(harness_.data_dir() + "/store.db", OpenMode::ReadOnly, "");
    const std::string sql = std::string("SELECT count(*) FROM ") + table;
    Query row = (*db)->query(sql.c_str());
    return row.next() ? row.integer(0) : -1;
  }
  StoreHarness harness_;
};

TEST_F(Retention, MessagesGoWhenTheyAreTooOldAndTheLogsStartMoves) {
  const Topic topic = make(std::chrono::hours(1), 0);
  send("old");
  send("old too");
  harness_.advance(std::chrono::minutes(50));
  send("young");
  harness_.advance(std::chrono::minutes(20));
  ASSERT_TRUE(harness_.store().clean_up());
  EXPECT_EQ(range().start, Offset{2});
  EXPECT_EQ(range().end, Offset{3});
  const auto read = harness_.event_log().read(topic.uid, {}, Offset{0}, 1U << 20);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->batch->records.at(0).offset, Offset{2}) << "below the start is read from the start";
  EXPECT_EQ(rows("batches"), 1);
}

TEST_F(Retention, AnEmptyLogKeepsItsOffsets) {
  const Topic topic = make(std::chrono::hours(1), 0);
  send("old");
  harness_.advance(std::chrono::hours(2));
  ASSERT_TRUE(harness_.store().clean_up());
  EXPECT_EQ(range().start, Offset{1});
  EXPECT_EQ(range().bytes, 0U);
  EXPECT_TRUE(harness_.event_log().read(topic.uid, {}, Offset{0}, 1U << 20)->end_reached);
  send("new");
  EXPECT_EQ(read_all(harness_.event_log(), topic.uid, {}, Offset{1}).size(), 1U);
}

TEST_F(Retention, TheOldestGoWhenThereAreTooManyBytesInAsManySlicesAsItTakes) {
  make(std::chrono::hours(24 * 365), 100000);
  for (int i = 0; i < 200; ++i) send(std::string(5000, 'x'));
  ASSERT_TRUE(harness_.store().clean_up());
  EXPECT_GE(range().bytes, 100000U);
  EXPECT_LT(range().bytes, 106000U);
  EXPECT_GT(range().start, Offset{170});
  EXPECT_EQ(rows("batches"), range().end.value - range().start.value);
}

TEST_F(Retention, RunsOnItsOwnTimer) {
  StoreOptions options = harness_.options();
  make(std::chrono::hours(1), 0);
  send("old");
  harness_.advance(std::chrono::hours(2));
  harness_.close();
  options.clean_up_every = Duration{0};
  auto store = Store::open(options);
  ASSERT_TRUE(store);
  // Each answer is one turn of the writer, which cleans up at the end of a turn when it is due.
  for (int i = 0; i < 100 && (*store)->event_log().topic("orders")->partitions[0].start == Offset{0}; ++i)
    ASSERT_TRUE((*store)->event_log().update_topic("orders", (*store)->event_log().topic("orders")->settings));
  EXPECT_EQ((*store)->event_log().topic("orders")->partitions[0].start, Offset{1});
}

TEST_F(Retention, ADeletedTopicAndPipelineLeaveNothing) {
  const Topic topic = make(std::chrono::hours(1), 0);
  for (int i = 0; i < 100; ++i) send("x");
  const auto pipeline = harness_.catalog().create_pipeline(conformance::pipeline_content("p"));
  StartTrigger start;
  start.pipeline = pipeline->uid;
  start.version = Version{1};
  start.topic = topic.uid;
  const auto owner = conformance::load_now(harness_.journal(),
                                           conformance::start_trigger_now(harness_.catalog(), start)->trigger.position);
  JournalCommit content;
  content.position = owner->position;
  content.owner_epoch = owner->owner_epoch;
  content.pass = owner->pass;
  content.seq = CommitSeq{1};
  content.finished = {{PartitionId{0}, Offset{0}, 1, FinalState::DeadLettered}};
  content.dead_letters.resize(1);
  content.failures.resize(1);
  content.failures[0].offset = Offset{5};
  ASSERT_TRUE(conformance::commit(harness_.journal(), content));
  auto keyed = to_topic("orders", {text("x")});
  keyed.idempotency_key = "k";
  ASSERT_TRUE(publish(harness_.event_log(), keyed));
  ASSERT_TRUE(conformance::set_desired_now(harness_.catalog(), pipeline->uid, DesiredState::Stopped));
  ASSERT_TRUE(harness_.catalog().delete_pipeline("p", true, std::nullopt));
  ASSERT_TRUE(harness_.event_log().delete_topic("orders"));
  ASSERT_TRUE(harness_.store().clean_up());
  for (const char* table : {"topics", "partitions", "batches", "idempotency", "pipelines", "pipeline_versions",
                            "triggers", "positions", "position_partitions", "ledger", "failures", "dead_letters"})
    EXPECT_EQ(rows(table), 0) << table;
}

TEST_F(Retention, OldIdempotencyKeysGo) {
  make(std::chrono::hours(24 * 365), 0);
  auto keyed = to_topic("orders", {text("x")});
  keyed.idempotency_key = "k";
  ASSERT_TRUE(publish(harness_.event_log(), keyed));
  ASSERT_TRUE(harness_.store().clean_up());
  EXPECT_EQ(rows("idempotency"), 1);
  harness_.advance(std::chrono::hours(25));
  ASSERT_TRUE(harness_.store().clean_up());
  EXPECT_EQ(rows("idempotency"), 0);
}

// What a failure keeps is not lost to retention, not even by a seek.
TEST_F(Retention, TheBytesOfAFailedEventOutliveItsLogAndASeek) {
  const Topic topic = make(std::chrono::hours(1), 0);
  for (int i = 0; i < 3; ++i) send("event " + std::to_string(i));
  const auto pipeline = harness_.catalog().create_pipeline(conformance::pipeline_content("p"));
  StartTrigger start;
  start.pipeline = pipeline->uid;
  start.version = Version{1};
  start.topic = topic.uid;
  const auto position = conformance::start_trigger_now(harness_.catalog(), start)->trigger.position;
  const auto owner = conformance::load_now(harness_.journal(), position);
  JournalCommit content;
  content.position = position;
  content.owner_epoch = owner->owner_epoch;
  content.pass = owner->pass;
  content.seq = CommitSeq{1};
  content.failures.resize(2);
  for (std::size_t i = 0; i < 2; ++i) {
    content.failures[i].offset = Offset{static_cast<std::int64_t>(i)};
    content.failures[i].charged = 3;
    content.failures[i].message = text("event " + std::to_string(i));
  }
  ASSERT_TRUE(conformance::commit(harness_.journal(), content));
  harness_.advance(std::chrono::hours(2));
  ASSERT_TRUE(harness_.store().clean_up());
  EXPECT_EQ(conformance::load_now(harness_.journal(), position)->failures.size(), 2U);
  start.initial = {{PartitionId{0}, Offset{1}}};
  start.seek_to = start.initial;
  ASSERT_TRUE(conformance::start_trigger_now(harness_.catalog(), start));
  const auto loaded = conformance::load_now(harness_.journal(), position);
  ASSERT_EQ(loaded->failures.size(), 1U);
  EXPECT_EQ(loaded->failures[0].offset, Offset{1});
  EXPECT_EQ(loaded->failures[0].charged, 0) << "a new pass starts over";
  EXPECT_EQ(loaded->failures[0].message.value, "event 1");
}

}  // namespace
}  // namespace dhub::store
