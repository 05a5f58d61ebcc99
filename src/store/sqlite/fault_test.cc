// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <future>
#include <gtest/gtest.h>
#include <mutex>
#include <thread>

#include "base/test_seed.h"
#include "store/sqlite/fault_vfs_test.h"
#include "store/sqlite/store_harness_test.h"

namespace dhub::store {
namespace {

using conformance::code_of;
using conformance::publish;
using conformance::read_all;
using conformance::text;
using conformance::to_topic;
using conformance::values_of;
using Fault = FaultVfs::Fault;
using Call = FaultVfs::Call;

// A store on a disk that fails when it is told to.
class FaultyDisk : public testing::Test {
 protected:
  FaultyDisk() {
    StoreOptions options;
    options.vfs = vfs_.name();
    options.disk_reserve_bytes = 0;
    options.on_fatal = [this](std::string) { ++fatal_; };
    harness_ = std::make_unique<StoreHarness>(std::move(options));
  }
  ~FaultyDisk() override { harness_.reset(); }
  Result<std::vector<Placement>> send(const std::string& value) {
    return publish(harness_->event_log(), to_topic("orders", {text(value)}));
  }
  std::vector<std::string> stored(const std::string& name = "orders") {
    const auto topic = harness_->event_log().topic(name);
    return topic ? values_of(read_all(harness_->event_log(), topic->uid)) : std::vector<std::string>{};
  }
  PositionUid start_pipeline() {
    StartTrigger request;
    request.pipeline = harness_->catalog().create_pipeline(conformance::pipeline_content("p"))->uid;
    request.version = Version{1};
    request.topic = harness_->event_log().ensure_topic("orders")->uid;
    return conformance::start_trigger_now(harness_->catalog(), request)->trigger.position;
  }
  static JournalCommit finish(const LoadedPosition& owner, std::int64_t seq) {
    JournalCommit content;
    content.position = owner.position;
    content.owner_epoch = owner.owner_epoch;
    content.pass = owner.pass;
    content.seq = CommitSeq{seq};
    content.finished = {{PartitionId{0}, Offset{seq - 1}, 1, FinalState::Succeeded}};
    content.partitions = {{PartitionId{0}, Offset{seq}, Offset{seq}}};
    return content;
  }
  // The power goes again while the store copies its log at the start.
  void cut_power_during_recovery(Random& random) {
    std::atomic<std::uint64_t> left{1 + random.below(40)};
    vfs_.decide([&](const std::string&, Call) { return left == 0 || --left == 0 ? Fault::Io : Fault::None; });
    auto store = Store::open(harness_->options());
    vfs_.cut_power();
    if (store) store->reset();
    vfs_.forget_unsynced(random, random.below(2) == 0);
  }

  FaultVfs vfs_;
  std::atomic<int> fatal_{0};
  std::unique_ptr<StoreHarness> harness_;
};

TEST_F(FaultyDisk, AFullDiskRefusesAndTheStoreLivesOnWhenThereIsSpaceAgain) {
  ASSERT_TRUE(send("before"));
  vfs_.decide([](const std::string&, Call call) { return call == Call::Write ? Fault::NoSpace : Fault::None; });
  EXPECT_EQ(code_of(send("refused")), ErrorCode::StorageFull);
  EXPECT_EQ(code_of(harness_->event_log().ensure_topic("other")), ErrorCode::StorageFull);
  EXPECT_EQ(stored(), std::vector<std::string>{"before"}) << "reading goes on";
  vfs_.heal();
  EXPECT_EQ(send("after")->at(0).offset, Offset{1}) << "no offset was given away";
  EXPECT_EQ(stored(), (std::vector<std::string>{"before", "after"}));
  EXPECT_EQ(fatal_, 0);
}

TEST_F(FaultyDisk, ACommitRefusedByAFullDiskAppliesWhenItIsSentAgain) {
  const auto owner = conformance::load_now(harness_->journal(), start_pipeline());
  vfs_.decide([](const std::string&, Call call) { return call == Call::Write ? Fault::NoSpace : Fault::None; });
  EXPECT_EQ(code_of(conformance::commit(harness_->journal(), finish(*owner, 1))), ErrorCode::StorageFull);
  vfs_.heal();
  EXPECT_EQ(*conformance::commit(harness_->journal(), finish(*owner, 1)), CommitAnswer::Applied);
}

// The first write that the disk refuses is tried at every place of a transaction.
TEST_F(FaultyDisk, WhereverInATransactionTheDiskIsFullNothingOfItIsStored) {
  ASSERT_TRUE(send("first"));
  std::vector<std::string> expected = {"first"};
  for (int nth = 1; nth <= 12; ++nth) {
    std::atomic<int> writes{0};
    vfs_.decide([&](const std::string&, Call call) {
      return call == Call::Write && ++writes >= nth ? Fault::NoSpace : Fault::None;
    });
    const std::string value = std::string(30000, 'x') + std::to_string(nth);
    const auto sent = send(value);
    vfs_.heal();
    if (sent)
      expected.push_back(value);
    else
      EXPECT_EQ(sent.error().code, ErrorCode::StorageFull);
    ASSERT_EQ(stored(), expected) << nth;
  }
  ASSERT_TRUE(send("last"));
  expected.push_back("last");
  harness_->reopen();
  EXPECT_EQ(stored(), expected);
}

TEST_F(FaultyDisk, APublishThatFillsTheDiskDoesNotTakeACommitDownWithIt) {
  const auto owner = conformance::load_now(harness_->journal(), start_pipeline());
  std::promise<void> blocked;
  std::promise<void> go_on;
  std::atomic<bool> first{true};
  const auto watch =
      harness_->event_log().open_reader(harness_->event_log().topic("orders")->uid, [&](std::optional<PartitionId>) {
        if (!first.exchange(false)) return;
        blocked.set_value();
        go_on.get_future().get();
      });
  harness_->event_log().publish(to_topic("orders", {text("x")}), [](const Result<std::vector<Placement>>&) {});
  blocked.get_future().get();
  // Both wait for the same transaction; it is too large for the disk, the commit alone is not.
  std::promise<ErrorCode> refused;
  harness_->event_log().publish(to_topic("orders", {text(std::string(1U << 20, 'x'))}),
                                [&](const Result<std::vector<Placement>>& placed) {
                                  refused.set_value(placed ? ErrorCode::Internal : placed.error().code);
                                });
  std::promise<bool> applied;
  harness_->journal().commit(
      std::make_shared<const JournalCommit>(finish(*owner, 1)),
      [&](const Result<CommitAnswer>& answer) { applied.set_value(answer && *answer == CommitAnswer::Applied); });
  std::atomic<int> writes{0};
  vfs_.decide([&](const std::string&, Call call) {
    return call == Call::Write && ++writes == 100 ? Fault::NoSpace : Fault::None;
  });
  go_on.set_value();
  EXPECT_TRUE(applied.get_future().get());
  vfs_.heal();
  EXPECT_EQ(refused.get_future().get(), ErrorCode::StorageFull);
  EXPECT_EQ(stored(), std::vector<std::string>{"x"});
  EXPECT_GE(writes, 100);
}

TEST_F(FaultyDisk, AFailedSyncIsFatalAndAcksNothing) {
  ASSERT_TRUE(send("before"));
  vfs_.decide([](const std::string&, Call call) { return call == Call::Sync ? Fault::Io : Fault::None; });
  EXPECT_EQ(code_of(send("lost")), ErrorCode::Internal);
  EXPECT_EQ(fatal_, 1);
  vfs_.heal();
  EXPECT_EQ(code_of(send("after")), ErrorCode::Internal) << "nothing is built on a disk that failed";
  EXPECT_EQ(code_of(harness_->event_log().ensure_topic("other")), ErrorCode::Internal);
  EXPECT_EQ(fatal_, 1);
  harness_->reopen();
  EXPECT_EQ(stored().at(0), "before");
  EXPECT_TRUE(send("again"));
}

TEST_F(FaultyDisk, AFailedWriteIsFatalToo) {
  ASSERT_TRUE(send("before"));
  vfs_.decide([](const std::string&, Call call) { return call == Call::Write ? Fault::Io : Fault::None; });
  EXPECT_EQ(code_of(send("lost")), ErrorCode::Internal);
  EXPECT_EQ(fatal_, 1);
}

TEST_F(FaultyDisk, EveryAckIsBehindASync) {
  ASSERT_TRUE(send("first"));
  for (int i = 0; i < 5; ++i) {
    const auto before = vfs_.syncs();
    ASSERT_TRUE(send("x"));
    EXPECT_GT(vfs_.syncs(), before);
  }
}

// I8: whatever was acked before the power went is there when it is back, however much of the rest is.
TEST_F(FaultyDisk, APowerCutKeepsEveryAckedMessageAndCommit) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed);
  Random random(seed);
  const PositionUid position = start_pipeline();
  std::vector<std::string> acked;
  std::int64_t next_offset = 0;
  for (int round = 0; round < 30; ++round) {
    const auto owner = conformance::load_now(harness_->journal(), position);
    ASSERT_TRUE(owner) << owner.error().message;
    ASSERT_GE(owner->partitions.at(0).cursor.value, next_offset) << "an acked commit is gone";
    next_offset = owner->partitions.at(0).cursor.value;
    ASSERT_EQ(stored("out").size(), static_cast<std::size_t>(next_offset)) << "output and cursor are one";
    // A cut between two writes, anywhere in what follows.
    std::atomic<std::uint64_t> left{random.below(120)};
    vfs_.decide([&](const std::string&, Call) {
      if (left > 0) --left;
      return left == 0 ? Fault::Io : Fault::None;
    });
    std::vector<std::string> unsure;
    for (std::int64_t seq = 1; fatal_ == 0 && seq < 100; ++seq) {
      const std::string value = random.id(random.below(20000));
      if (const auto sent = send(value); sent)
        acked.push_back(value);
      else
        unsure.push_back(value);
      auto content = finish(*owner, seq);
      content.finished[0].first = Offset{next_offset};
      content.partitions[0].cursor = Offset{next_offset + 1};
      content.publications = {{"out", text(std::to_string(next_offset))}};
      if (conformance::commit(harness_->journal(), content)) ++next_offset;
    }
    vfs_.cut_power();
    harness_->close();
    vfs_.forget_unsynced(random, random.below(2) == 0);
    cut_power_during_recovery(random);
    fatal_ = 0;
    harness_->open();
    const auto there = stored();
    ASSERT_GE(there.size(), acked.size()) << "round " << round;
    ASSERT_TRUE(std::equal(acked.begin(), acked.end(), there.begin())) << "round " << round;
    // What was not acked may be there or not, but then whole and in order; it counts from now on.
    ASSERT_LE(there.size() - acked.size(), unsure.size());
    for (std::size_t i = acked.size(); i < there.size(); ++i) EXPECT_EQ(there[i], unsure[i - acked.size()]);
    acked = there;
  }
}

TEST_F(FaultyDisk, APowerCutUnderConcurrentPublishersKeepsEveryAckedMessage) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed);
  Random random(seed);
  ASSERT_TRUE(send("first"));
  std::atomic<std::uint64_t> left{200};
  vfs_.decide([&](const std::string&, Call) {
    if (left > 0) --left;
    return left == 0 ? Fault::Io : Fault::None;
  });
  std::mutex mutex;
  std::vector<std::pair<std::int64_t, std::string>> acked;
  {
    std::vector<std::jthread> publishers;
    for (int p = 0; p < 4; ++p)
      publishers.emplace_back([&, p] {
        for (int i = 0; fatal_ == 0; ++i) {
          const std::string value = std::to_string(p) + ":" + std::to_string(i);
          const auto sent = send(value);
          if (!sent) continue;
          std::lock_guard lock(mutex);
          acked.emplace_back(sent->at(0).offset.value, value);
        }
      });
  }
  vfs_.cut_power();
  harness_->close();
  vfs_.forget_unsynced(random, true);
  harness_->open();
  const auto there = stored();
  ASSERT_FALSE(acked.empty());
  for (const auto& [offset, value] : acked) {
    ASSERT_LT(static_cast<std::size_t>(offset), there.size());
    EXPECT_EQ(there[static_cast<std::size_t>(offset)], value);
  }
}

}  // namespace
}  // namespace dhub::store
