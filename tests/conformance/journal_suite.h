// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <map>

#include "base/random.h"
#include "base/test_seed.h"
#include "tests/conformance/harness.h"

namespace dhub::conformance {

class JournalConformance : public Suite {
 protected:
  void SetUp() override {
    Suite::SetUp();
    TopicSettings settings;
    settings.partitions = 2;
    topic_ = log().create_topic("orders", settings)->uid;
    pipeline_ = catalog().create_pipeline(pipeline_content("p"))->uid;
    position_ = start({}, false).trigger.position;
  }

  StartedTrigger start(std::vector<StartOffset> initial, bool seek) {
    StartTrigger request;
    request.pipeline = pipeline_;
    request.version = Version{1};
    request.topic = topic_;
    request.initial = std::move(initial);
    if (seek) request.seek_to = request.initial;
    auto started = start_trigger_now(catalog(), request);
    EXPECT_TRUE(started) << (started ? "" : started.error().message);
    return started.value_or(StartedTrigger{});
  }
  // Loads and makes that load's owner the one that next() speaks for.
  LoadedPosition load() {
    auto loaded = load_now(journal(), position_);
    EXPECT_TRUE(loaded) << (loaded ? "" : loaded.error().message);
    if (!loaded) return {};
    epoch_ = loaded->owner_epoch;
    pass_ = loaded->pass;
    seq_ = 0;
    return *loaded;
  }
  JournalCommit next() {
    JournalCommit content;
    content.position = position_;
    content.owner_epoch = epoch_;
    content.pass = pass_;
    content.seq = CommitSeq{++seq_};
    return content;
  }
  void apply(JournalCommit content) {
    const auto answer = commit(journal(), std::move(content));
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(*answer, CommitAnswer::Applied);
  }
  static FinishedRange range(std::int64_t first, std::int64_t count, FinalState state = FinalState::Succeeded,
                             std::int32_t partition = 0) {
    return {PartitionId{partition}, Offset{first}, count, state};
  }
  static JournalCommit::PartitionState at(std::int64_t cursor, std::int64_t through, std::int32_t partition = 0) {
    return {PartitionId{partition}, Offset{cursor}, Offset{through}};
  }
  static StoredFailure failure(std::int64_t offset, std::int32_t charged) {
    StoredFailure stored;
    stored.offset = Offset{offset};
    stored.charged = charged;
    stored.retry_at = WallTime{1000 + offset};
    stored.step = 3;
    stored.kind = OutcomeKind::TimedOut;
    stored.version = Version{1};
    stored.results = std::string("\0r", 2);
    stored.first_error = "first";
    stored.last_error = "last " + std::to_string(charged);
    stored.message = text("event " + std::to_string(offset), "key");
    return stored;
  }
  static DeadLetter letter(std::int64_t offset) {
    DeadLetter dead;
    dead.run = {Pass{1}, PartitionId{0}, Offset{offset}};
    dead.topic = "orders";
    dead.message = {"key", {{"h", std::nullopt}}, std::string("\0x", 2), WallTime{77}};
    dead.attempts = 4;
    dead.reason = OutcomeKind::Crashed;
    dead.version = Version{1};
    dead.step = "enrich";
    dead.first_error = "first";
    dead.last_error = "last";
    dead.trace = "trace";
    return dead;
  }
  FinalState state(std::int64_t offset, std::int32_t partition = 0) {
    return journal().state_of(position_, PartitionId{partition}, Offset{offset})->state;
  }
  void publish_orders(int count) {
    std::vector<Message> messages(static_cast<std::size_t>(count), text("m"));
    for (int i = 0; i < 2; ++i) ASSERT_TRUE(publish(log(), to_topic("orders", messages)));  // one per partition
  }

  TopicUid topic_{};
  PipelineUid pipeline_{};
  PositionUid position_{};
  OwnerEpoch epoch_{};
  Pass pass_{};
  std::int64_t seq_ = 0;
};

TEST_P(JournalConformance, EveryLoadRaisesTheOwnerEpochAlsoAcrossARestart) {
  const auto first = load();
  EXPECT_EQ(load().owner_epoch.value, first.owner_epoch.value + 1);
  harness().reopen();
  EXPECT_EQ(load().owner_epoch.value, first.owner_epoch.value + 2);
  EXPECT_EQ(code_of(load_now(journal(), PositionUid{4711})), ErrorCode::NotFound);
}

TEST_P(JournalConformance, AFreshPositionKnowsEveryPartitionOfItsTopic) {
  const auto loaded = load();
  EXPECT_EQ(loaded.pass, Pass{1});
  ASSERT_EQ(loaded.partitions.size(), 2U);
  EXPECT_EQ(loaded.partitions[1].partition, PartitionId{1});
  EXPECT_EQ(loaded.partitions[1].cursor, Offset{0});
}

TEST_P(JournalConformance, PartitionsAreAddedWhereTheyBeginAndOnlyOnce) {
  load();
  ASSERT_TRUE(
      add_partitions_now(journal(), position_, epoch_,
                         {{PartitionId{1}, Offset{99}}, {PartitionId{2}, Offset{0}}, {PartitionId{3}, Offset{4000}}}));
  ASSERT_TRUE(add_partitions_now(journal(), position_, epoch_, {{PartitionId{3}, Offset{7}}}));
  ASSERT_TRUE(add_partitions_now(journal(), position_, epoch_, {}));
  auto content = next();
  content.finished = {range(4000, 1, FinalState::Succeeded, 3)};
  content.partitions = {at(4001, 4096, 3)};
  apply(content);
  harness().reopen();
  const auto loaded = load();
  ASSERT_EQ(loaded.partitions.size(), 4U);
  EXPECT_EQ(loaded.partitions[1].cursor, Offset{0}) << "it was there and stays as it is";
  EXPECT_EQ(loaded.partitions[2].cursor, Offset{0});
  EXPECT_EQ(loaded.partitions[3].cursor, Offset{4001});
  EXPECT_EQ(state(4000, 3), FinalState::Succeeded);
}

TEST_P(JournalConformance, AnOldOwnerCanAddNoPartitions) {
  load();
  const auto old_epoch = epoch_;
  load();
  const auto refused = add_partitions_now(journal(), position_, old_epoch, {{PartitionId{2}, Offset{0}}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::Fenced);
  EXPECT_EQ(load().partitions.size(), 2U);
}

TEST_P(JournalConformance, ACommitIsThereAfterARestart) {
  load();
  auto content = next();
  content.finished = {range(0, 3), range(5, 2, FinalState::Filtered)};
  content.partitions = {at(3, 4096)};
  apply(content);
  harness().reopen();
  const auto loaded = load();
  EXPECT_EQ(loaded.partitions[0].cursor, Offset{3});
  EXPECT_EQ(loaded.partitions[0].dispatched_through, Offset{4096});
  EXPECT_EQ(loaded.partitions[0].finished, std::vector<FinishedRange>{range(5, 2, FinalState::Filtered)});
  EXPECT_EQ(state(2), FinalState::Succeeded);
  EXPECT_EQ(state(3), FinalState::None);
  EXPECT_EQ(state(6), FinalState::Filtered);
}

TEST_P(JournalConformance, ANumberAppliesOnceAndIsThenAnsweredAlready) {
  load();
  auto content = next();
  content.finished = {range(0, 1)};
  content.partitions = {at(1, 1)};
  apply(content);
  EXPECT_EQ(*commit(journal(), content), CommitAnswer::Already);
  EXPECT_EQ(journal().counts(position_)->succeeded, 1);
}

TEST_P(JournalConformance, ANumberTooFarIsRefused) {
  load();
  next();
  auto content = next();
  content.finished = {range(0, 1)};
  EXPECT_EQ(code_of(commit(journal(), content)), ErrorCode::Internal);
  EXPECT_EQ(state(0), FinalState::None);
}

TEST_P(JournalConformance, AnOldOwnerCanCommitNothing) {
  load();
  auto content = next();
  content.finished = {range(0, 1)};
  const auto old_epoch = epoch_;
  load();
  EXPECT_EQ(code_of(commit(journal(), content)), ErrorCode::Fenced);
  EXPECT_EQ(state(0), FinalState::None);
  EXPECT_EQ(code_of(Result<bool>(release_now(journal(), position_, old_epoch).map([] { return true; }))),
            ErrorCode::Fenced);
  EXPECT_TRUE(release_now(journal(), position_, epoch_));
}

TEST_P(JournalConformance, ACommitOfAnOldPassIsFenced) {
  publish_orders(10);
  load();
  auto content = next();
  content.finished = {range(0, 1)};
  content.partitions = {at(1, 1)};
  start({{PartitionId{0}, Offset{5}}}, true);
  EXPECT_EQ(code_of(commit(journal(), content)), ErrorCode::Fenced);
  EXPECT_EQ(load().pass, Pass{2});
  EXPECT_EQ(state(0), FinalState::Skipped);
}

TEST_P(JournalConformance, NothingIsFinalTwiceAndTheRefusedCommitLeavesNothing) {
  load();
  auto first = next();
  first.finished = {range(10, 1)};
  apply(first);
  auto twice = next();
  twice.finished = {range(0, 1), range(9, 2)};
  twice.partitions = {at(1, 1)};
  twice.failures = {failure(20, 1)};
  twice.publications = {{"out", text("never")}};
  EXPECT_EQ(code_of(commit(journal(), twice)), ErrorCode::Corruption);
  EXPECT_EQ(state(0), FinalState::None);
  EXPECT_EQ(journal().counts(position_)->succeeded, 1);
  EXPECT_EQ(code_of(log().topic("out")), ErrorCode::NotFound);
  // Its number is still free: the refused content may be corrected by a new owner only, but nothing was consumed.
  auto right = twice;
  right.finished = {range(0, 1)};
  right.publications = {};
  apply(right);
  auto below = next();
  below.finished = {range(0, 1)};
  EXPECT_EQ(code_of(commit(journal(), below)), ErrorCode::Corruption);
}

TEST_P(JournalConformance, WithinOneCommitNothingIsFinalTwiceEither) {
  load();
  auto content = next();
  content.finished = {range(0, 5), range(4, 1)};
  EXPECT_EQ(code_of(commit(journal(), content)), ErrorCode::Corruption);
  EXPECT_EQ(journal().counts(position_)->succeeded, 0);
}

TEST_P(JournalConformance, TheCursorNeverPassesWhatIsNotFinishedAndNeverGoesBack) {
  load();
  auto past = next();
  past.finished = {range(0, 2), range(3, 1)};
  past.partitions = {at(4, 4)};
  EXPECT_EQ(code_of(commit(journal(), past)), ErrorCode::Internal);
  past.partitions = {at(2, 4)};
  apply(past);
  auto back = next();
  back.partitions = {at(1, 4)};
  EXPECT_EQ(code_of(commit(journal(), back)), ErrorCode::Internal);
  EXPECT_EQ(catalog().cursors(pipeline_, topic_)->at(0).offset, Offset{2});
}

TEST_P(JournalConformance, AFailureIsKeptWithItsBytesUntilItsEventIsFinal) {
  load();
  auto content = next();
  content.failures = {failure(7, 1), failure(8, 1)};
  apply(content);
  auto again = next();
  again.failures = {failure(7, 2)};
  apply(again);
  harness().reopen();
  const auto loaded = load();
  ASSERT_EQ(loaded.failures.size(), 2U);
  const StoredFailure& kept = loaded.failures[0];
  const StoredFailure expected = failure(7, 2);
  EXPECT_EQ(kept.offset, Offset{7});
  EXPECT_EQ(kept.charged, 2);
  EXPECT_EQ(kept.retry_at, expected.retry_at);
  EXPECT_EQ(kept.step, expected.step);
  EXPECT_EQ(kept.kind, expected.kind);
  EXPECT_EQ(kept.version, expected.version);
  EXPECT_EQ(kept.results, expected.results);
  EXPECT_EQ(kept.first_error, expected.first_error);
  EXPECT_EQ(kept.last_error, expected.last_error);
  EXPECT_EQ(kept.message, expected.message);
  EXPECT_EQ(journal().state_of(position_, {}, Offset{7})->failure->charged, 2);
  auto done = next();
  done.finished = {range(7, 1)};
  apply(done);
  EXPECT_FALSE(journal().state_of(position_, {}, Offset{7})->failure);
  EXPECT_EQ(load().failures.size(), 1U);
  auto late = next();
  late.failures = {failure(7, 3)};
  EXPECT_EQ(code_of(commit(journal(), late)), ErrorCode::Corruption);
}

TEST_P(JournalConformance, DeadLettersAreKeptWholeAndNumberedWithinThePipeline) {
  load();
  for (std::int64_t offset = 0; offset < 3; ++offset) {
    auto content = next();
    content.finished = {range(offset, 1, FinalState::DeadLettered)};
    content.dead_letters = {letter(offset)};
    apply(content);
  }
  harness().reopen();
  const auto newest = journal().dead_letters(pipeline_, 0, 2);
  ASSERT_EQ(newest->size(), 2U);
  EXPECT_EQ(newest->at(0).number, 3);
  EXPECT_EQ(newest->at(1).number, 2);
  EXPECT_EQ(journal().dead_letters(pipeline_, 2, 10)->size(), 1U);
  const auto found = journal().dead_letter(pipeline_, 1);
  const auto expected = letter(0);
  EXPECT_EQ(found->position, position_);
  EXPECT_EQ(found->run, expected.run);
  EXPECT_EQ(found->topic, expected.topic);
  EXPECT_EQ(found->message, expected.message);
  EXPECT_EQ(found->attempts, expected.attempts);
  EXPECT_EQ(found->reason, expected.reason);
  EXPECT_EQ(found->version, expected.version);
  EXPECT_EQ(found->step, expected.step);
  EXPECT_EQ(found->first_error, expected.first_error);
  EXPECT_EQ(found->last_error, expected.last_error);
  EXPECT_EQ(found->trace, expected.trace);
  EXPECT_GT(found->created_at.ms, 0);
  EXPECT_EQ(code_of(journal().dead_letter(pipeline_, 4)), ErrorCode::NotFound);
}

TEST_P(JournalConformance, ADeadLetterMustFinishItsOffset) {
  load();
  auto content = next();
  content.dead_letters = {letter(0)};
  EXPECT_EQ(code_of(commit(journal(), content)), ErrorCode::Internal);
  EXPECT_TRUE(journal().dead_letters(pipeline_, 0, 10)->empty());
}

TEST_P(JournalConformance, PublicationsGoOutWithTheCommitExactlyOnceAndInOrder) {
  load();
  auto content = next();
  content.finished = {range(0, 1)};
  content.publications = {{"out", text("1", "k")}, {"other", text("x")}, {"out", text("2", "k")}};
  apply(content);
  EXPECT_EQ(*commit(journal(), content), CommitAnswer::Already);
  EXPECT_EQ(values_of(read_all(log(), log().topic("out")->uid)), (std::vector<std::string>{"1", "2"}));
  EXPECT_EQ(values_of(read_all(log(), log().topic("other")->uid)), (std::vector<std::string>{"x"}));
}

TEST_P(JournalConformance, CommitsOfOneOwnerApplyInTheOrderTheyAreHandedIn) {
  load();
  constexpr int kCommits = 50;
  std::promise<void> all;
  std::atomic<int> answered{0};
  std::atomic<int> applied{0};
  for (int i = 0; i < kCommits; ++i) {
    auto content = next();
    content.finished = {range(i, 1)};
    content.partitions = {at(i + 1, kCommits)};
    journal().commit(std::make_shared<const JournalCommit>(content), [&](Result<CommitAnswer> answer) {
      applied += answer && *answer == CommitAnswer::Applied ? 1 : 0;
      if (++answered == kCommits) all.set_value();
    });
  }
  all.get_future().get();
  EXPECT_EQ(applied.load(), kCommits);
  EXPECT_EQ(load().partitions[0].cursor, Offset{kCommits});
}

TEST_P(JournalConformance, UncleanStopsMoveTheBordersOfSuspicionAndCleanOnesKeepThem) {
  const auto borders = [this] {
    const auto partition = load().partitions[0];
    return std::pair{partition.suspect_border.value, partition.older_suspect_border.value};
  };
  const auto reach = [this](std::int64_t through) {
    auto content = next();
    content.partitions = {at(0, through)};
    apply(content);
  };
  EXPECT_EQ(borders(), std::pair(0L, 0L));
  reach(100);
  EXPECT_EQ(borders(), std::pair(100L, 0L));
  reach(200);
  EXPECT_EQ(borders(), std::pair(200L, 100L));
  ASSERT_TRUE(release_now(journal(), position_, epoch_));
  EXPECT_EQ(borders(), std::pair(200L, 100L)) << "a clean stop does not forget suspects";
  reach(300);
  EXPECT_EQ(borders(), std::pair(300L, 200L)) << "loading takes the clean mark back";
}

TEST_P(JournalConformance, APositionOfADeletedPipelineIsFenced) {
  load();
  ASSERT_TRUE(set_desired_now(catalog(), pipeline_, DesiredState::Stopped));
  ASSERT_TRUE(catalog().delete_pipeline("p", false, std::nullopt));
  EXPECT_EQ(code_of(commit(journal(), next())), ErrorCode::Fenced);
  EXPECT_EQ(code_of(load_now(journal(), position_)), ErrorCode::NotFound);
}

// A map is the model: whatever is committed in whatever pieces, across restarts, is what the journal says.
TEST_P(JournalConformance, TheLedgerAnswersForEveryOffset) {
  const std::uint64_t seed = test_seed();
  SCOPED_TRACE(seed);
  Random random(seed);
  constexpr std::int64_t kOffsets = 5000;
  std::map<std::int64_t, FinalState> model;
  std::int64_t cursor = 0;
  load();
  while (cursor < kOffsets) {
    auto content = next();
    for (int i = 0; i < 4; ++i) {
      const std::int64_t first = cursor + static_cast<std::int64_t>(random.below(i == 0 ? 1 : 1500));
      const auto picked = static_cast<FinalState>(1 + random.below(6));
      const auto wanted = static_cast<std::int64_t>(1 + random.below(random.below(4) == 0 ? 2000 : 30));
      std::int64_t count = 0;
      while (count < wanted && !model.contains(first + count)) model[first + count++] = picked;
      if (count > 0) content.finished.push_back(range(first, count, picked));
    }
    while (model.contains(cursor)) ++cursor;
    content.partitions = {at(cursor, cursor + 4096)};
    apply(content);
    if (random.below(10) != 0) continue;
    harness().reopen();
    std::map<std::int64_t, FinalState> loaded;
    const auto partition = load().partitions[0];
    for (const auto& finished : partition.finished)
      for (std::int64_t i = 0; i < finished.count; ++i) loaded[finished.first.value + i] = finished.state;
    const std::map<std::int64_t, FinalState> expected(model.lower_bound(cursor), model.end());
    EXPECT_TRUE(loaded == expected) << "at cursor " << cursor;
  }
  std::map<FinalState, std::int64_t> counts;
  for (const auto& [offset, final_state] : model) {
    ++counts[final_state];
    if (offset % 37 == 0) {
      EXPECT_EQ(state(offset), final_state) << offset;
    }
  }
  const auto told = *journal().counts(position_);
  EXPECT_EQ(told.succeeded, counts[FinalState::Succeeded]);
  EXPECT_EQ(told.filtered, counts[FinalState::Filtered]);
  EXPECT_EQ(told.dead_lettered, counts[FinalState::DeadLettered]);
  EXPECT_EQ(told.expired, counts[FinalState::Expired]);
  EXPECT_EQ(told.skipped, counts[FinalState::Skipped]);
  EXPECT_EQ(told.absent, counts[FinalState::Absent]);
}

TEST_P(JournalConformance, ASeekForwardSkipsWhatIsUnfinishedAndRemovesItsCharges) {
  publish_orders(3000);
  load();
  auto content = next();
  content.finished = {range(0, 10), range(20, 5)};
  content.partitions = {at(10, 4096)};
  content.failures = {failure(15, 2), failure(2500, 1)};
  apply(content);
  const auto started = start({{PartitionId{0}, Offset{2000}}}, true);
  EXPECT_TRUE(started.resumed);
  EXPECT_EQ(started.cursors.at(0).offset, Offset{2000});
  const auto loaded = load();
  EXPECT_EQ(loaded.pass, Pass{2});
  EXPECT_TRUE(loaded.failures.empty());
  EXPECT_EQ(state(9), FinalState::Succeeded);
  EXPECT_EQ(state(15), FinalState::Skipped);
  EXPECT_EQ(state(22), FinalState::Succeeded);
  EXPECT_EQ(state(1999), FinalState::Skipped);
  EXPECT_EQ(state(2000), FinalState::None);
  EXPECT_EQ(journal().counts(position_)->skipped, 2000 - 15);
  EXPECT_EQ(journal().counts(position_)->succeeded, 15);
}

TEST_P(JournalConformance, ASeekBackTakesBackWhatWasFinishedFromThereOn) {
  publish_orders(3000);
  load();
  auto content = next();
  content.finished = {range(0, 2500), range(2600, 10, FinalState::Filtered)};
  content.partitions = {at(2500, 4096)};
  apply(content);
  start({{PartitionId{0}, Offset{1500}}}, true);
  const auto loaded = load();
  EXPECT_EQ(loaded.partitions[0].cursor, Offset{1500});
  EXPECT_EQ(loaded.partitions[0].dispatched_through, Offset{4096}) << "runs of the old pass may still be out";
  EXPECT_TRUE(loaded.partitions[0].finished.empty());
  EXPECT_EQ(journal().counts(position_)->succeeded, 1500);
  EXPECT_EQ(journal().counts(position_)->filtered, 0);
  auto again = next();
  again.finished = {range(1500, 1000)};
  again.partitions = {at(2500, 4096)};
  apply(again);
  EXPECT_EQ(journal().counts(position_)->succeeded, 2500);
}

TEST_P(JournalConformance, ASeekLeavesPartitionsAloneThatItDoesNotName) {
  publish_orders(100);
  load();
  auto content = next();
  content.finished = {range(0, 10), range(0, 20, FinalState::Succeeded, 1)};
  content.partitions = {at(10, 64), at(20, 64, 1)};
  apply(content);
  const auto started = start({{PartitionId{0}, Offset{0}}}, true);
  EXPECT_EQ(started.cursors.at(0).offset, Offset{0});
  EXPECT_EQ(started.cursors.at(1).offset, Offset{20});
  EXPECT_EQ(state(5, 1), FinalState::Succeeded);
}

}  // namespace dhub::conformance
