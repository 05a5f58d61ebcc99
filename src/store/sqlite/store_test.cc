// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/store.h"

#include <atomic>
#include <fstream>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/random.h"
#include "base/test_seed.h"
#include "store/sqlite/schema.h"
#include "store/sqlite/sqlite.h"
#include "store/sqlite/store_harness_test.h"

namespace dhub::store {
namespace {

using conformance::code_of;
using conformance::commit;
using conformance::publish;
using conformance::read_all;
using conformance::text;
using conformance::to_topic;
using conformance::values_of;

// Changes the store's file behind its back, while it is closed.
void edit(const StoreHarness& harness, const char* sql) {
  auto db = Connection::open(harness.data_dir() + "/store.db", OpenMode::ReadWriteCreate, "");
  ASSERT_TRUE(db);
  const auto done = (*db)->execute(sql);
  ASSERT_TRUE(done) << done.error().message;
}

Result<std::vector<Placement>> send(StoreHarness& harness, const std::string& value) {
  return publish(harness.event_log(), to_topic("orders", {text(value)}));
}

TEST(Store, TheDataDirectoryIsForItsOwnerAlone) {
  const StoreHarness harness;
  struct stat info {};
  ASSERT_EQ(stat(harness.data_dir().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700U);
}

TEST(Store, ASecondServerIsRefusedByNameOfTheFirstWhichIsUnharmed) {
  StoreHarness harness;
  ASSERT_TRUE(send(harness, "a"));
  const auto second = Store::open(harness.options());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::Conflict);
  EXPECT_NE(second.error().message.find("process " + std::to_string(getpid())), std::string::npos)
      << second.error().message;
  ASSERT_TRUE(send(harness, "b"));
  EXPECT_EQ(read_all(harness.event_log(), harness.event_log().topic("orders")->uid).size(), 2U);
}

TEST(Store, AProcessThatIsKilledLeavesAStoreThatOpensWithAllItHadAcked) {
  StoreHarness harness;
  harness.close();
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const pid_t child = fork();
  if (child == 0) {
    harness.open();
    for (int i = 0; i < 20; ++i)
      if (!send(harness, std::to_string(i))) _exit(1);
    if (write(ready[1], "x", 1) != 1) _exit(1);
    for (;;) pause();
  }
  char byte = 0;
  ASSERT_EQ(read(ready[0], &byte, 1), 1);
  EXPECT_EQ(code_of(Store::open(harness.options())), ErrorCode::Conflict);
  ASSERT_EQ(kill(child, SIGKILL), 0);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  close(ready[0]);
  close(ready[1]);
  harness.open();
  EXPECT_EQ(read_all(harness.event_log(), harness.event_log().topic("orders")->uid).size(), 20U);
}

TEST(Store, AStoreOfANewerProgramIsRefusedAndLeftAsItIs) {
  StoreHarness harness;
  ASSERT_TRUE(send(harness, "a"));
  harness.close();
  edit(harness, "PRAGMA user_version=99");
  const auto opened = Store::open(harness.options());
  ASSERT_EQ(code_of(opened), ErrorCode::Unsupported);
  EXPECT_NE(opened.error().message.find("99"), std::string::npos);
  edit(harness, ("PRAGMA user_version=" + std::to_string(kStoreVersion)).c_str());
  harness.open();
  EXPECT_EQ(read_all(harness.event_log(), harness.event_log().topic("orders")->uid).size(), 1U);
}

TEST(Store, AStoreOfVersion2IsBroughtUpToDate) {
  StoreHarness harness;
  ASSERT_TRUE(send(harness, "a"));
  const auto pipeline = harness.catalog().create_pipeline(conformance::pipeline_content("p"));
  StartTrigger start;
  start.pipeline = pipeline->uid;
  start.version = pipeline->version;
  start.topic = harness.event_log().topic("orders")->uid;
  ASSERT_TRUE(conformance::start_trigger_now(harness.catalog(), start));
  harness.close();
  edit(harness, "ALTER TABLE triggers DROP COLUMN revision");
  edit(harness, "PRAGMA user_version=2");
  harness.open();
  EXPECT_EQ(harness.catalog().trigger(pipeline->uid)->revision, Revision{1});
  EXPECT_EQ(conformance::set_desired_now(harness.catalog(), pipeline->uid, DesiredState::Paused)->revision,
            Revision{2});
}

// As after a restart with many triggers.
TEST(Store, LoadsThatAreHandedInTogetherShareTheirSyncs) {
  constexpr std::size_t kTriggers = 100;
  StoreHarness harness;
  ASSERT_TRUE(send(harness, "a"));
  std::vector<PositionUid> positions;
  for (std::size_t i = 0; i < kTriggers; ++i) {
    StartTrigger start;
    start.pipeline = harness.catalog().create_pipeline(conformance::pipeline_content("p" + std::to_string(i)))->uid;
    start.version = Version{1};
    start.topic = harness.event_log().topic("orders")->uid;
    positions.push_back(conformance::start_trigger_now(harness.catalog(), start)->trigger.position);
  }
  const auto before = harness.store().counters().transactions;
  std::atomic<std::size_t> loaded{0};
  std::promise<void> all;
  for (const auto position : positions)
    harness.journal().load(position, [&](const Result<LoadedPosition>& one) {
      EXPECT_TRUE(one);
      if (++loaded == kTriggers) all.set_value();
    });
  all.get_future().get();
  EXPECT_LT(harness.store().counters().transactions - before, kTriggers / 2);
}

TEST(Store, AFileThatIsNoStoreIsRefused) {
  StoreHarness harness;
  harness.close();
  edit(harness, "PRAGMA application_id=1");
  EXPECT_EQ(code_of(Store::open(harness.options())), ErrorCode::Corruption);
  std::ofstream(harness.data_dir() + "/store.db", std::ios::trunc) << std::string(9000, 'x');
  const auto garbage = Store::open(harness.options());
  ASSERT_EQ(code_of(garbage), ErrorCode::Corruption);
  EXPECT_EQ(garbage.error().message.find(harness.data_dir()), std::string::npos) << "messages name no paths";
}

TEST(Store, ADirectoryThatCannotBeMadeIsRefused) {
  StoreOptions options;
  options.data_dir = "/proc/dhub";
  EXPECT_EQ(code_of(Store::open(options)), ErrorCode::PermissionDenied);
}

TEST(Store, DamagedRunDetailsAreReplacedByNone) {
  StoreHarness harness;
  harness.close();
  std::ofstream(harness.data_dir() + "/runs.db", std::ios::trunc) << std::string(9000, 'x');
  harness.open();
  EXPECT_TRUE(harness.run_archive().attempts({PositionUid{1}}, {})->empty());
}

TEST(Store, AfterStopEveryCallIsAnsweredCancelled) {
  StoreHarness harness;
  ASSERT_TRUE(send(harness, "a"));
  harness.store().stop();
  harness.store().stop();
  EXPECT_EQ(code_of(send(harness, "b")), ErrorCode::Cancelled);
  EXPECT_EQ(code_of(harness.event_log().ensure_topic("x")), ErrorCode::Cancelled);
  EXPECT_EQ(code_of(harness.event_log().topic("orders")), ErrorCode::Cancelled);
  EXPECT_EQ(code_of(conformance::load_now(harness.journal(), PositionUid{1})), ErrorCode::Cancelled);
}

TEST(Store, StopAnswersEverythingThatIsQueued) {
  StoreHarness harness;
  std::atomic<int> answered{0};
  for (int i = 0; i < 500; ++i)
    harness.event_log().publish(to_topic("orders", {text("x")}), [&](const Result<std::vector<Placement>>& placed) {
      EXPECT_TRUE(placed);
      ++answered;
    });
  harness.store().stop();
  EXPECT_EQ(answered, 500);
}

TEST(Store, ManyRequestsShareOneTransaction) {
  StoreHarness harness;
  ASSERT_TRUE(send(harness, "first"));
  const auto before = harness.store().counters();
  std::atomic<int> answered{0};
  std::promise<void> all;
  constexpr int kRequests = 1000;
  for (int i = 0; i < kRequests; ++i)
    harness.event_log().publish(to_topic("orders", {text(std::to_string(i))}),
                                [&](const Result<std::vector<Placement>>&) {
                                  if (++answered == kRequests) all.set_value();
                                });
  all.get_future().get();
  const auto after = harness.store().counters();
  EXPECT_LT(after.transactions - before.transactions, kRequests / 4U);
  EXPECT_EQ(after.messages - before.messages, static_cast<std::uint64_t>(kRequests));
  EXPECT_EQ(after.queued_requests, 0U);
}

TEST(Store, ARefusedRequestSpoilsNoneOfItsNeighbours) {
  StoreHarness harness;
  const TopicUid uid = harness.event_log().ensure_topic("orders")->uid;
  std::atomic<int> good{0};
  std::atomic<int> refused{0};
  std::atomic<int> answered{0};
  std::promise<void> all;
  constexpr int kRequests = 300;
  for (int i = 0; i < kRequests; ++i) {
    auto request = to_topic(i % 3 == 0 ? "a/b" : "orders", {text(std::to_string(i))});
    if (i % 3 == 1) request.idempotency_key = "same";  // the first is stored, the others conflict
    harness.event_log().publish(std::move(request), [&](const Result<std::vector<Placement>>& placed) {
      ++(placed ? good : refused);
      if (++answered == kRequests) all.set_value();
    });
  }
  all.get_future().get();
  EXPECT_EQ(good, 101);
  EXPECT_EQ(refused, 199);
  EXPECT_EQ(read_all(harness.event_log(), uid).size(), 101U);
}

TEST(Store, BelowTheReservePublishingStopsAndTheJournalGoesOn) {
  std::atomic<std::uint64_t> free_bytes{1U << 30};
  StoreOptions options;
  options.free_disk_bytes = [&] { return free_bytes.load(); };
  StoreHarness harness(options);
  ASSERT_TRUE(send(harness, "a"));
  const auto pipeline = harness.catalog().create_pipeline(conformance::pipeline_content("p"));
  StartTrigger start;
  start.pipeline = pipeline->uid;
  start.version = Version{1};
  start.topic = harness.event_log().topic("orders")->uid;
  const auto owner = conformance::load_now(harness.journal(),
                                           conformance::start_trigger_now(harness.catalog(), start)->trigger.position);

  free_bytes = 1U << 20;
  EXPECT_TRUE(send(harness, "b")) << "the disk is not asked for every request";
  harness.advance(std::chrono::milliseconds(100));
  EXPECT_EQ(code_of(send(harness, "c")), ErrorCode::StorageFull);
  JournalCommit content;
  content.position = owner->position;
  content.owner_epoch = owner->owner_epoch;
  content.pass = owner->pass;
  content.seq = CommitSeq{1};
  content.finished = {{PartitionId{0}, Offset{0}, 1, FinalState::Succeeded}};
  content.publications = {{"out", text("x")}};
  EXPECT_TRUE(commit(harness.journal(), content));
  free_bytes = 1U << 30;
  harness.advance(std::chrono::milliseconds(100));
  EXPECT_TRUE(send(harness, "d"));
}

// And may still be done: what waits with it must live that long.
TEST(Store, ACallThatIsNotAnsweredInTimeHasAnUnknownOutcome) {
  StoreOptions options;
  options.longest_wait = milliseconds(20);
  StoreHarness harness(options);
  std::promise<void> blocked;
  std::promise<void> go_on;
  const TopicUid uid = harness.event_log().ensure_topic("orders")->uid;
  std::atomic<bool> first{true};
  const auto watch = harness.event_log().open_reader(uid, [&](std::optional<PartitionId>) {
    if (!first.exchange(false)) return;
    blocked.set_value();
    go_on.get_future().get();
  });
  harness.event_log().publish(to_topic("orders", {text("x")}), [](const Result<std::vector<Placement>>&) {});
  blocked.get_future().get();
  EXPECT_EQ(code_of(harness.catalog().create_pipeline(conformance::pipeline_content("p"))), ErrorCode::OutcomeUnknown);
  go_on.set_value();
  ASSERT_TRUE(send(harness, "y")) << "the writer has done what stood before it";
  EXPECT_TRUE(harness.catalog().pipeline("p", std::nullopt));
}

TEST(Store, AFullQueueTurnsAwayAndSaysSo) {
  StoreHarness harness;
  std::promise<void> blocked;
  std::promise<void> go_on;
  // The writer stands in this watch until it is let go.
  const TopicUid uid = harness.event_log().ensure_topic("orders")->uid;
  std::atomic<bool> first{true};
  const auto watch = harness.event_log().open_reader(uid, [&](std::optional<PartitionId>) {
    if (!first.exchange(false)) return;
    blocked.set_value();
    go_on.get_future().get();
  });
  harness.event_log().publish(to_topic("orders", {text("x")}), [](const Result<std::vector<Placement>>&) {});
  blocked.get_future().get();
  std::atomic<int> unavailable{0};
  std::atomic<int> answered{0};
  constexpr int kRequests = 90;  // of 1 MiB: more than the queue takes
  std::promise<void> all;
  for (int i = 0; i < kRequests; ++i)
    harness.event_log().publish(to_topic("orders", {text(std::string(1U << 20, 'x'))}),
                                [&](const Result<std::vector<Placement>>& placed) {
                                  if (!placed && placed.error().code == ErrorCode::Unavailable) ++unavailable;
                                  if (++answered == kRequests) all.set_value();
                                });
  EXPECT_EQ(answered, unavailable) << "the others wait for the writer";
  EXPECT_GE(unavailable, 20) << "a refusal waits for nothing, and so holds nothing";
  go_on.set_value();
  all.get_future().get();
  EXPECT_LT(unavailable, 40);
  EXPECT_EQ(harness.store().counters().refused, static_cast<std::uint64_t>(unavailable.load()));
}

TEST(Store, ADamagedBatchIsToldAndItsNeighboursStayReadable) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed);
  Random random(seed);
  StoreHarness harness;
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(send(harness, "value " + std::to_string(i)));
  harness.close();
  std::string before;
  {
    auto db = Connection::open(harness.data_dir() + "/store.db", OpenMode::ReadWriteCreate, "");
    Query row = (*db)->query("SELECT data FROM batches WHERE base_offset=2");
    ASSERT_TRUE(row.next());
    before = std::string(row.blob(0));
  }
  for (int flip = 0; flip < 20; ++flip) {
    std::string damaged = before;
    damaged[random.below(damaged.size())] ^= static_cast<char>(1U << random.below(8));
    {
      auto db = Connection::open(harness.data_dir() + "/store.db", OpenMode::ReadWriteCreate, "");
      ASSERT_TRUE((*db)->run("UPDATE batches SET data=? WHERE base_offset=2", Blob{damaged}));
    }
    harness.open();
    const TopicUid uid = harness.event_log().topic("orders")->uid;
    const auto up_to = harness.event_log().read(uid, {}, Offset{0}, 1U << 20);
    ASSERT_TRUE(up_to);
    EXPECT_EQ(up_to->batch->records.size(), 2U);
    EXPECT_EQ(up_to->next_offset, Offset{2});
    EXPECT_FALSE(up_to->end_reached);
    const auto bad = harness.event_log().read(uid, {}, Offset{2}, 1U << 20);
    ASSERT_EQ(code_of(bad), ErrorCode::Corruption);
    EXPECT_NE(bad.error().message.find("'orders'"), std::string::npos);
    EXPECT_NE(bad.error().message.find("offsets 2 to 2 of partition 0"), std::string::npos) << bad.error().message;
    EXPECT_EQ(harness.event_log().read(uid, {}, Offset{3}, 1U << 20)->batch->records.size(), 2U);
    harness.close();
  }
}

TEST(Store, AMissingBatchIsToldAndNotPassedOver) {
  StoreHarness harness;
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(send(harness, std::to_string(i)));
  harness.close();
  edit(harness, "DELETE FROM batches WHERE base_offset=1");
  harness.open();
  const TopicUid uid = harness.event_log().topic("orders")->uid;
  EXPECT_EQ(harness.event_log().read(uid, {}, Offset{0}, 1U << 20)->next_offset, Offset{1});
  EXPECT_EQ(code_of(harness.event_log().read(uid, {}, Offset{1}, 1U << 20)), ErrorCode::Corruption);
}

TEST(Store, APartitionThatThePositionDoesNotKnowStartsAtZero) {
  StoreHarness harness;
  TopicSettings settings;
  settings.partitions = 2;
  StartTrigger start;
  start.pipeline = harness.catalog().create_pipeline(conformance::pipeline_content("p"))->uid;
  start.version = Version{1};
  start.topic = harness.event_log().create_topic("orders", settings)->uid;
  const auto position = conformance::start_trigger_now(harness.catalog(), start)->trigger.position;
  harness.close();
  edit(harness, "DELETE FROM position_partitions WHERE partition=1");
  harness.open();
  const auto loaded = conformance::load_now(harness.journal(), position);
  ASSERT_EQ(loaded->partitions.size(), 2U);
  EXPECT_EQ(loaded->partitions[1].partition, PartitionId{1});
  EXPECT_EQ(loaded->partitions[1].cursor, Offset{0});
}

TEST(Store, RunDetailsAreARingBySizeAndAge) {
  StoreOptions options;
  options.run_detail_bytes = 2U << 20;
  StoreHarness harness(options);
  AttemptDetail detail;
  detail.position = PositionUid{1};
  detail.started_at = WallTime{1790000000000};
  detail.log = std::string(10000, 'l');
  for (std::int64_t offset = 0; offset < 1000; ++offset) {
    detail.run.offset = Offset{offset};
    harness.run_archive().append({detail});
    if (offset % 50 == 0) harness.run_archive().flush();
  }
  harness.run_archive().flush();
  RunFilter filter;
  filter.limit = 10000;
  const auto kept = harness.run_archive().attempts({PositionUid{1}}, filter);
  ASSERT_FALSE(kept->empty());
  EXPECT_LT(kept->size(), 250U);
  EXPECT_EQ(kept->front().detail.run.offset, Offset{999}) << "the oldest go first";
  harness.advance(std::chrono::hours(24 * 8));
  detail.run.offset = Offset{1000};
  detail.started_at = WallTime{1790000000000 + 8LL * 24 * 3600 * 1000};
  harness.run_archive().append({detail});
  harness.run_archive().flush();
  EXPECT_EQ(harness.run_archive().attempts({PositionUid{1}}, filter)->size(), 1U);
}

TEST(Store, RunDetailsNeverBlockAndWhatIsDroppedIsCounted) {
  StoreHarness harness;
  AttemptDetail detail;
  detail.position = PositionUid{1};
  detail.started_at = WallTime{1790000000000};
  detail.log = std::string(1U << 20, 'l');
  // One call takes the lock once, so the queue cannot be emptied meanwhile: 32 MiB fit.
  harness.run_archive().append(std::vector<AttemptDetail>(40, detail));
  harness.run_archive().flush();
  const auto counters = harness.store().counters();
  EXPECT_EQ(counters.run_details + counters.run_details_dropped, 40U);
  EXPECT_GE(counters.run_details_dropped, 8U);
  EXPECT_LE(counters.run_details_dropped, 10U);
}

}  // namespace
}  // namespace dhub::store
