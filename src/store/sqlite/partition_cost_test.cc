// SPDX-License-Identifier: Apache-2.0
// What one message costs must not depend on how many partitions its topic has.
#include <atomic>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include "store/sqlite/store_harness_test.h"

namespace dhub::store {
namespace {

// What SQLite has done in this process on behalf of statements: how many there were, and the steps of its machine,
// which grow with the rows that are looked at, also inside a statement.
struct Work {
  std::int64_t statements = 0;
  std::int64_t steps = 0;
  bool operator==(const Work&) const = default;
};
void PrintTo(const Work& work, std::ostream* out) {
  *out << work.statements << " statements, " << work.steps << " steps";
}

std::atomic<std::int64_t> statements_done;
std::atomic<std::int64_t> steps_done;

int note_end(unsigned, void*, void* statement, void*) {
  ++statements_done;
  steps_done += sqlite3_stmt_status(static_cast<sqlite3_stmt*>(statement), SQLITE_STMTSTATUS_VM_STEP, 1);
  return 0;
}
int watch_connection(sqlite3* db, char**, const struct sqlite3_api_routines*) {
  return sqlite3_trace_v2(db, SQLITE_TRACE_PROFILE, note_end, nullptr);
}

class PartitionCost : public testing::Test {
 protected:
  // Of a topic and a position on it that have been used before: what is looked up once is not counted.
  struct Costs {
    Work publish;
    Work read;
    Work commit;
    Work describe;  // all of the topic: what the others must not do
  };

  PartitionCost() { sqlite3_auto_extension(reinterpret_cast<void (*)()>(watch_connection)); }
  ~PartitionCost() override { sqlite3_reset_auto_extension(); }

  template <typename F>
  static Work work_of(F call) {
    const Work before{statements_done, steps_done};
    call();
    return {statements_done - before.statements, steps_done - before.steps};
  }

  static Costs with_partitions(std::int32_t partitions) {
    StoreHarness harness;
    TopicSettings settings;
    settings.partitions = partitions;
    const TopicUid topic = harness.event_log().create_topic("orders", settings)->uid;
    StartTrigger start;
    start.pipeline = harness.catalog().create_pipeline(conformance::pipeline_content("p"))->uid;
    start.version = Version{1};
    start.topic = topic;
    const auto loaded = conformance::load_now(
        harness.journal(), conformance::start_trigger_now(harness.catalog(), start)->trigger.position);
    std::atomic<int> news{0};
    const auto reader = harness.event_log().open_reader(topic, [&](std::optional<PartitionId>) { ++news; });
    Costs costs;
    for (std::int64_t offset = 0; offset < 3; ++offset) {
      Placement placed;
      costs.publish = work_of([&] {
        const auto request = conformance::to_topic("orders", {conformance::text("value", "key")});
        placed = conformance::publish(harness.event_log(), request).value().at(0);
      });
      costs.read = work_of(
          [&] { EXPECT_EQ(reader->read(placed.partition, placed.offset, 1U << 20)->batch->records.size(), 1U); });
      JournalCommit content;
      content.position = loaded->position;
      content.owner_epoch = loaded->owner_epoch;
      content.pass = loaded->pass;
      content.seq = CommitSeq{offset + 1};
      content.finished = {{placed.partition, placed.offset, 1, FinalState::Succeeded}};
      content.partitions = {{placed.partition, Offset{offset + 1}, Offset{4096}}};
      costs.commit = work_of([&] { EXPECT_TRUE(conformance::commit(harness.journal(), content)); });
    }
    costs.describe = work_of([&] { EXPECT_TRUE(harness.event_log().topic(topic)); });
    EXPECT_LE(news, 3) << "one word for each commit, not one for each partition";
    return costs;
  }
};

TEST_F(PartitionCost, OfAMessageIsTheSameForFourAndForAThousand) {
  const Costs four = with_partitions(4);
  const Costs thousand = with_partitions(1000);
  EXPECT_LT(four.describe.steps + 900, thousand.describe.steps) << "the measure sees partitions";
  EXPECT_GE(four.publish.statements, 4) << "begin, batch, partition, commit";
  EXPECT_EQ(four.publish, thousand.publish);
  EXPECT_EQ(four.read, thousand.read);
  EXPECT_EQ(four.commit, thousand.commit);
}

}  // namespace
}  // namespace dhub::store
