// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/ledger.h"

#include <algorithm>
#include <array>
#include <gtest/gtest.h>

#include "base/random.h"
#include "base/test_seed.h"
#include "store/sqlite/store_harness_test.h"

namespace dhub::store {
namespace {

using conformance::code_of;

// A position on a topic of another system, whose offsets are given and not written.
class Ledger : public testing::Test {
 protected:
  void begin(std::int64_t end) {
    const TopicUid topic = *harness_.topic_registry().enlist("kafka", "orders", "id");
    request_.pipeline = harness_.catalog().create_pipeline(conformance::pipeline_content("p"))->uid;
    request_.version = Version{1};
    request_.topic = topic;
    request_.elsewhere = conformance::foreign(topic, "kafka/orders", {{0, end}});
    position_ = start().trigger.position;
    load();
  }
  StartedTrigger start() {
    auto started = conformance::start_trigger_now(harness_.catalog(), request_);
    EXPECT_TRUE(started) << (started ? "" : started.error().message);
    return started.value_or(StartedTrigger{});
  }
  void seek(std::int64_t target) {
    request_.initial = request_.seek_to = {{PartitionId{0}, Offset{target}}};
    start();
    load();
  }
  LoadedPartition load() {
    auto loaded = conformance::load_now(harness_.journal(), position_);
    EXPECT_TRUE(loaded) << (loaded ? "" : loaded.error().message);
    if (!loaded) return {};
    content_ = {};
    content_.position = position_;
    content_.owner_epoch = loaded->owner_epoch;
    content_.pass = loaded->pass;
    return loaded->partitions.at(0);
  }
  Status commit(std::vector<FinishedRange> finished, std::int64_t cursor) {
    ++content_.seq.value;
    content_.finished = std::move(finished);
    content_.partitions = {{PartitionId{0}, Offset{cursor}, Offset{cursor}}};
    const auto answer = conformance::commit(harness_.journal(), content_);
    if (!answer) {
      --content_.seq.value;
      return fail(answer.error());
    }
    return {};
  }
  static FinishedRange range(std::int64_t first, std::int64_t count, FinalState state = FinalState::Succeeded) {
    return {PartitionId{0}, Offset{first}, count, state};
  }
  FinalState state(std::int64_t offset) {
    const auto known = harness_.journal().state_of(position_, PartitionId{0}, Offset{offset});
    EXPECT_TRUE(known) << (known ? "" : known.error().message);
    return known ? known->state : FinalState::None;
  }
  OutcomeCounts counts() { return *harness_.journal().counts(position_); }

  struct StoredRow {
    std::int64_t page = 0;
    std::int64_t pages = 0;
    FinalState state = FinalState::None;  // None: the page is mixed
  };
  std::vector<StoredRow> rows() {
    auto db = Connection::open(harness_.data_dir() + "/store.db", OpenMode::ReadOnly, "");
    std::vector<StoredRow> found;
    Query row = (*db)->query("SELECT page, pages, state FROM ledger ORDER BY page");
    while (row.next()) found.push_back({row.integer(0), row.integer(1), static_cast<FinalState>(row.small(2))});
    return found;
  }
  // Behind the store's back, while it is closed.
  void edit(const char* sql) {
    harness_.close();
    {
      auto db = Connection::open(harness_.data_dir() + "/store.db", OpenMode::ReadWriteCreate, "");
      const auto done = (*db)->execute(sql);
      ASSERT_TRUE(done) << done.error().message;
    }
    harness_.open();
  }

  StoreHarness harness_;
  StartTrigger request_;
  PositionUid position_{};
  JournalCommit content_;
};

constexpr std::int64_t kTwoBillion = 2'000'000'000;

TEST_F(Ledger, ASeekOverTwoBillionOffsetsWritesAHandfulOfRows) {
  begin(kTwoBillion);
  ASSERT_TRUE(commit({range(0, 10), range(5000, 1, FinalState::Filtered)}, 10));
  seek(kTwoBillion);
  EXPECT_LE(rows().size(), 4U) << "the first page, the one of 5000, what is between and after them";
  EXPECT_EQ(counts().skipped, kTwoBillion - 11);
  EXPECT_EQ(state(9), FinalState::Succeeded);
  EXPECT_EQ(state(5000), FinalState::Filtered);
  EXPECT_EQ(state(kTwoBillion / 2), FinalState::Skipped);
  EXPECT_EQ(state(kTwoBillion - 1), FinalState::Skipped);
  EXPECT_EQ(state(kTwoBillion), FinalState::None);

  seek(0);
  EXPECT_TRUE(rows().empty());
  EXPECT_EQ(counts().skipped, 0);
  EXPECT_EQ(counts().succeeded, 0);
  EXPECT_EQ(counts().filtered, 0);
  EXPECT_EQ(state(kTwoBillion / 2), FinalState::None);

  seek(kTwoBillion / 2);
  EXPECT_LE(rows().size(), 2U);
  EXPECT_EQ(counts().skipped, kTwoBillion / 2);
  EXPECT_EQ(state(kTwoBillion / 2 - 1), FinalState::Skipped);
  EXPECT_EQ(state(kTwoBillion / 2), FinalState::None);
  const auto loaded = load();
  EXPECT_EQ(loaded.cursor, Offset{kTwoBillion / 2});
  EXPECT_TRUE(loaded.finished.empty());
}

TEST_F(Ledger, ASeekIntoTheMiddleOfARangeKeepsWhatIsBeforeIt) {
  begin(kTwoBillion);
  seek(kTwoBillion);
  seek(1'000'500);
  EXPECT_EQ(rows().size(), 2U) << "the whole pages, and the one that is cut";
  EXPECT_EQ(counts().skipped, 1'000'500);
  EXPECT_EQ(state(1'000'499), FinalState::Skipped);
  EXPECT_EQ(state(1'000'500), FinalState::None);
  ASSERT_TRUE(commit({range(1'000'500, 600)}, 1'001'100));
  EXPECT_EQ(counts().succeeded, 600);
  seek(1024 * 700);
  EXPECT_EQ(rows().size(), 1U);
  EXPECT_EQ(counts().skipped, 1024 * 700);
  EXPECT_EQ(counts().succeeded, 0);
}

// What retention took, or what a broker never gave out, is told in one range of any length.
TEST_F(Ledger, ACommitMayFinishTwoBillionOffsetsAtOnce) {
  begin(kTwoBillion);
  ASSERT_TRUE(commit({range(3, kTwoBillion - 3, FinalState::Expired)}, 0));
  EXPECT_LE(rows().size(), 3U);
  EXPECT_EQ(counts().expired, kTwoBillion - 3);
  const auto loaded = load();
  ASSERT_EQ(loaded.finished.size(), 1U);
  EXPECT_EQ(loaded.finished[0], range(3, kTwoBillion - 3, FinalState::Expired));
  ASSERT_TRUE(commit({range(0, 3)}, kTwoBillion)) << "the cursor passes over all of it";
  EXPECT_EQ(load().cursor, Offset{kTwoBillion});
}

TEST_F(Ledger, NothingInARangeIsFinalTwice) {
  begin(kTwoBillion);
  ASSERT_TRUE(commit({range(4096, 1024 * 1000, FinalState::Expired)}, 0));
  for (const auto& again : {range(500'000, 1), range(0, 4097), range(4096 + 1024 * 1000 - 1, 5000)}) {
    const auto refused = commit({again}, 0);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::Corruption);
  }
  EXPECT_EQ(code_of(commit({range(0, kTwoBillion)}, 0)), ErrorCode::Corruption);
  EXPECT_EQ(code_of(commit({range(2'000'000, 10'000), range(2'005'000, 1)}, 0)), ErrorCode::Corruption);
  EXPECT_EQ(code_of(commit({range(0, 1024)}, 4097 + 1024 * 1000)), ErrorCode::Internal) << "1024 is not finished";
  EXPECT_EQ(rows().size(), 1U);
  EXPECT_EQ(counts().expired, 1024 * 1000);
  EXPECT_EQ(counts().succeeded, 0);
}

TEST_F(Ledger, PagesOfOneOutcomeBecomeOneRowAsTheyAreFilled) {
  begin(100'000);
  for (std::int64_t at = 0; at < 50 * kPageOffsets; at += 512) ASSERT_TRUE(commit({range(at, 512)}, at + 512));
  ASSERT_EQ(rows().size(), 1U);
  EXPECT_EQ(rows()[0].pages, 50);
  ASSERT_TRUE(commit({range(51 * kPageOffsets, kPageOffsets)}, 50 * kPageOffsets));
  EXPECT_EQ(rows().size(), 2U);
  ASSERT_TRUE(commit({range(50 * kPageOffsets, kPageOffsets)}, 52 * kPageOffsets));
  ASSERT_EQ(rows().size(), 1U) << "the page between joins what is on both sides";
  EXPECT_EQ(rows()[0].pages, 52);
}

// Version 2 had the column and wrote one row for each page.
TEST_F(Ledger, AStoreOfVersionTwoOpensAndGoesOn) {
  begin(100'000);
  ASSERT_TRUE(commit({range(0, 3 * kPageOffsets), range(4 * kPageOffsets, 10, FinalState::Filtered)}, 3072));
  edit(
      "DELETE FROM ledger WHERE states IS NULL;"
      "INSERT INTO ledger (position_uid, partition, page, state) SELECT uid, 0, 0, 1 FROM positions;"
      "INSERT INTO ledger (position_uid, partition, page, state) SELECT uid, 0, 1, 1 FROM positions;"
      "INSERT INTO ledger (position_uid, partition, page, state) SELECT uid, 0, 2, 1 FROM positions;"
      "ALTER TABLE triggers DROP COLUMN revision;"
      "PRAGMA user_version=2");
  ASSERT_EQ(rows().size(), 4U);
  const auto loaded = load();
  EXPECT_EQ(loaded.cursor, Offset{3072});
  ASSERT_EQ(loaded.finished.size(), 1U);
  EXPECT_EQ(loaded.finished[0], range(4096, 10, FinalState::Filtered));
  EXPECT_EQ(state(2000), FinalState::Succeeded);
  ASSERT_TRUE(commit({range(3072, 1024)}, 4106));
  seek(1500);
  EXPECT_EQ(counts().succeeded, 1500);
  EXPECT_EQ(counts().filtered, 0);
  EXPECT_EQ(state(1499), FinalState::Succeeded);
  EXPECT_EQ(state(1500), FinalState::None);
}

TEST_F(Ledger, ARowThatCannotBeARangeIsCorruption) {
  begin(100'000);
  ASSERT_TRUE(commit({range(0, 5000)}, 5000));
  for (const char* damage : {"UPDATE ledger SET pages=0 WHERE page=0", "UPDATE ledger SET pages=-3 WHERE page=0",
                             "UPDATE ledger SET state=9, pages=4 WHERE page=0",
                             "UPDATE ledger SET pages=4, state=0, states=zeroblob(512)"}) {
    edit(damage);
    const auto read = harness_.journal().state_of(position_, PartitionId{0}, Offset{0});
    ASSERT_FALSE(read) << damage;
    EXPECT_EQ(read.error().code, ErrorCode::Corruption);
    StartTrigger back = request_;
    back.initial = back.seek_to = {{PartitionId{0}, Offset{0}}};
    EXPECT_FALSE(conformance::start_trigger_now(harness_.catalog(), back)) << damage;
  }
}

// Commits and seeks in any order against one state an offset.
class LedgerModel : public Ledger {
 protected:
  static constexpr std::int64_t kOffsets = 40 * kPageOffsets;

  std::int64_t unfinished_from(std::int64_t at) const {
    while (at < kOffsets && model_[static_cast<std::size_t>(at)] != FinalState::None) ++at;
    return at;
  }
  FinalState& known(std::int64_t offset) { return model_[static_cast<std::size_t>(offset)]; }

  void finish_some(Random& random) {
    std::vector<FinishedRange> finished;
    for (int i = 0; i < 3; ++i) {
      std::int64_t first = cursor_ + static_cast<std::int64_t>(random.below(i == 0 ? 1 : 9000));
      if (random.below(3) == 0) first = first / kPageOffsets * kPageOffsets;
      if (first < cursor_) continue;
      const auto picked = static_cast<FinalState>(1 + random.below(random.below(2) == 0 ? 1 : 6));
      const auto most = static_cast<std::int64_t>(1 + random.below(random.below(3) == 0 ? 9000 : 40));
      std::int64_t count = 0;
      while (count < most && first + count < kOffsets && known(first + count) == FinalState::None)
        known(first + count++) = picked;
      if (count > 0) finished.push_back(range(first, count, picked));
    }
    cursor_ = unfinished_from(cursor_);
    const auto done = commit(finished, cursor_);
    ASSERT_TRUE(done) << done.error().message;
  }
  void seek_somewhere(Random& random) {
    std::int64_t target = static_cast<std::int64_t>(random.below(kOffsets + 1));
    if (random.below(3) == 0) target = target / kPageOffsets * kPageOffsets;
    for (std::int64_t offset = cursor_; offset < target; ++offset)
      if (known(offset) == FinalState::None) known(offset) = FinalState::Skipped;
    for (std::int64_t offset = target; offset < kOffsets; ++offset) known(offset) = FinalState::None;
    cursor_ = target;
    seek(target);
  }
  void expect_the_same() {
    const auto loaded = load();
    ASSERT_EQ(loaded.cursor, Offset{cursor_});
    std::vector<FinishedRange> expected;
    std::array<std::int64_t, 7> n{};
    for (std::int64_t offset = 0; offset < kOffsets; ++offset) {
      ++n[static_cast<std::size_t>(known(offset))];
      if (offset < cursor_ || known(offset) == FinalState::None) continue;
      const bool joins = !expected.empty() && expected.back().state == known(offset) &&
                         expected.back().first.value + expected.back().count == offset;
      if (joins)
        ++expected.back().count;
      else
        expected.push_back(range(offset, 1, known(offset)));
    }
    EXPECT_EQ(loaded.finished, expected);
    const OutcomeCounts told = counts();
    EXPECT_EQ((std::array{told.succeeded, told.filtered, told.dead_lettered, told.expired, told.skipped, told.absent}),
              (std::array{n[1], n[2], n[3], n[4], n[5], n[6]}));
    expect_no_row_too_many();
    for (std::int64_t offset = cursor_ % 331; offset < kOffsets; offset += 331)
      ASSERT_EQ(state(offset), known(offset)) << offset;
  }
  // Rows do not overlap, a page of one outcome is no mixed one, and neighbours of one outcome are one row.
  void expect_no_row_too_many() {
    StoredRow before;
    for (const auto& row : rows()) {
      EXPECT_GE(row.page, before.page + before.pages);
      if (row.state != FinalState::None) {
        EXPECT_FALSE(row.state == before.state && row.page == before.page + before.pages) << "at page " << row.page;
      } else {
        const auto first = model_.begin() + row.page * kPageOffsets;
        const bool mixed = !std::all_of(first, first + kPageOffsets, [&](FinalState state) { return state == *first; });
        EXPECT_TRUE(mixed && row.pages == 1) << "page " << row.page;
      }
      before = row;
    }
  }

  std::vector<FinalState> model_ = std::vector<FinalState>(kOffsets, FinalState::None);
  std::int64_t cursor_ = 0;
};

TEST_F(LedgerModel, CommitsAndSeeksInAnyOrderLeaveWhatTheModelHolds) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed);
  Random random(seed);
  begin(kOffsets);
  for (int i = 0; i < 400 && !HasFailure(); ++i) {
    if (random.below(8) == 0)
      seek_somewhere(random);
    else
      finish_some(random);
    if (random.below(40) == 0) harness_.reopen();
    if (random.below(10) == 0 || i == 399) expect_the_same();
  }
}

}  // namespace
}  // namespace dhub::store
