// SPDX-License-Identifier: Apache-2.0
// What the engine tells the journal, and what it does with the answers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "delivery/engine_script.h"

namespace dhub::delivery {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

FinishedRange range(std::int64_t first, std::int64_t count, FinalState state, std::int32_t partition = 0) {
  return {PartitionId{partition}, Offset{first}, count, state};
}

TEST(EngineCommit, CarriesEpochPassAndTheNextNumber) {
  EngineScript script;
  script.start().start();
  script.ready(1);
  script.publish("a1 b1");
  script.answer("a1 ok");
  EXPECT_EQ(script.commit().position, PositionUid{1});
  EXPECT_EQ(script.commit().owner_epoch, OwnerEpoch{2});
  EXPECT_EQ(script.commit().pass, Pass{1});
  const auto first = script.commit().seq;
  script.store();
  script.answer("b1 ok");
  EXPECT_EQ(script.commit().seq.value, first.value + 1);
}

TEST(EngineCommit, FirstNumberOfAnOwnerIsOne) {
  EngineScript script;
  Outputs out;
  Engine engine(script_settings(), script.journal.load(), script.now);
  engine.tick(script.now, out);
  ASSERT_TRUE(out.commit != nullptr);
  EXPECT_EQ(out.commit->seq, CommitSeq{1});
}

TEST(EngineCommit, NeighboursWithOneStateAreOneRange) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("-1 -2 -3 -4");
  script.answer("-4 ok, -2 ok, -1 ok, -3 filtered");
  EXPECT_THAT(script.commit().finished,
              ElementsAre(range(0, 2, FinalState::Succeeded), range(2, 1, FinalState::Filtered),
                          range(3, 1, FinalState::Succeeded)));
}

TEST(EngineCommit, RangesDoNotReachAcrossPartitions) {
  EngineScript script(script_settings(), 2);
  script.start();
  script.ready(1);
  script.publish("-1", 0);
  script.publish("-2 -3", 1);
  script.answer("-3 ok, -1 ok");
  EXPECT_THAT(script.commit().finished,
              ElementsAre(range(0, 1, FinalState::Succeeded, 0), range(1, 1, FinalState::Succeeded, 1)));
}

// I4
TEST(EngineCommit, CursorStaysAtTheFirstUnfinishedEvent) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("-1 -2 -3");
  script.answer("-2 ok");
  script.store_all();
  EXPECT_EQ(script.journal.cursor(), 0);
  script.answer("-1 ok");
  script.store_all();
  EXPECT_EQ(script.journal.cursor(), 2) << "past -2 as well, which is final already";
  script.answer("-3 failed");
  script.store_all();
  EXPECT_EQ(script.journal.cursor(), 2) << "a stored failure is not final";
  EXPECT_THAT(script.journal.blames(), IsEmpty());
}

TEST(EngineCommit, CursorPassesADeadLetter) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("-1");
  script.answer("-1 rejected");
  EXPECT_EQ(script.commit().partitions.at(0).cursor, Offset{1});
}

TEST(EngineCommit, OnlyOneIsUnderWayAndTheRestGathers) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("-1 -2 -3");
  script.answer("-1 ok");
  script.answer("-2 ok");  // take_outputs() fails the test when a second commit comes out
  script.answer("-3 ok");
  EXPECT_THAT(script.commit().finished, ElementsAre(range(0, 1, FinalState::Succeeded)));
  script.store();
  EXPECT_THAT(script.commit().finished, ElementsAre(range(1, 2, FinalState::Succeeded)));
}

TEST(EngineCommit, NothingToStoreIsNoCommit) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("-1");
  script.tick();
  EXPECT_FALSE(script.has_commit());
  EXPECT_FALSE(script.engine().drained()) << "-1 is at an instance";
  script.answer("-1 ok");
  EXPECT_FALSE(script.engine().drained()) << "and now in a commit";
  script.store();
  EXPECT_TRUE(script.engine().drained());
}

// ---- refused, timed out, fenced ----

std::string content(const JournalCommit& commit) {
  std::string text = fmt::format("#{} ", commit.seq);
  for (const auto& partition : commit.partitions)
    text += fmt::format("p{} {}/{} ", partition.partition, partition.cursor, partition.dispatched_through);
  for (const auto& r : commit.finished) text += fmt::format("{}+{}={} ", r.first, r.count, to_string(r.state));
  for (const auto& row : commit.failures) text += fmt::format("{} failed {} ", row.offset, row.charged);
  for (const auto& letter : commit.dead_letters) text += fmt::format("{} dead ", letter.run.offset);
  for (const auto& out : commit.publications) text += fmt::format("{}:{} ", out.topic, *out.message.value);
  return text;
}

// SameBatch
TEST(EngineCommit, RefusedNumberKeepsItsContent) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("-1 -2 -3 -4");
  Outcome published = EngineScript::outcome_of("ok");
  published.publications.push_back({"results", EngineScript::message_of("x1")});
  script.answer("-1", published);
  const auto first = content(script.commit());
  script.answer("-2 ok, -3 failed, -4 rejected");
  script.refuse();
  EXPECT_FALSE(script.has_commit()) << "not at once: the disk is as full as before";
  script.wait(kSecond);
  ASSERT_TRUE(script.has_commit());
  EXPECT_EQ(content(script.commit()), first);
  script.store();
  EXPECT_THAT(script.commit().finished,
              ElementsAre(range(1, 1, FinalState::Succeeded), range(3, 1, FinalState::DeadLettered)));
  EXPECT_THAT(script.commit().failures, SizeIs(1));
}

TEST(EngineCommit, RefusalIsTriedAgainEverMoreRarely) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("-1");
  script.answer("-1 ok");
  std::vector<Duration> waits;
  for (int i = 0; i < 8; ++i) {
    script.refuse();
    ASSERT_TRUE(script.engine().wake_at().has_value());
    waits.push_back(*script.engine().wake_at() - script.now.mono);
    script.wait(waits.back());
    ASSERT_TRUE(script.has_commit());
  }
  EXPECT_TRUE(std::is_sorted(waits.begin(), waits.end()));
  EXPECT_LT(waits.front(), milliseconds(200));
  EXPECT_EQ(waits.back(), std::chrono::seconds(2));
  script.store();
  EXPECT_EQ(script.state(0), "succeeded");
  EXPECT_FALSE(script.engine().wake_at().has_value());
}

// SeqCheck and SameBatch: the answer was lost, the same number with the same content is "already", and counts as
// stored.
TEST(EngineCommit, TimedOutThoughAppliedIsAlreadyAndPublishesOnce) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("-1");
  Outcome published = EngineScript::outcome_of("ok");
  published.publications.push_back({"results", EngineScript::message_of("x1")});
  script.answer("-1", published);
  script.store_and_time_out();
  script.wait(kSecond);
  script.store();
  EXPECT_TRUE(script.engine().drained());
  EXPECT_THAT(script.journal.published(), SizeIs(1));
  EXPECT_THAT(script.journal.blames(), IsEmpty());
}

TEST(EngineCommit, AnswerOfAnotherNumberIsIgnored) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("-1");
  script.answer("-1 ok");
  Outputs out;
  script.engine().commit_answered(CommitSeq{script.commit().seq.value - 1}, CommitAnswer::Applied, script.now, out);
  EXPECT_FALSE(script.engine().drained());
  script.store();
  EXPECT_TRUE(script.engine().drained());
}

// FenceOn
TEST(EngineCommit, FencedOwnerIsBrokenAndDoesNothingMore) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("-1 -2");
  script.answer("-1 ok");
  (void)script.journal.load();  // another owner
  script.store();
  ASSERT_TRUE(script.broken.has_value());
  EXPECT_EQ(script.broken->code, ErrorCode::Fenced);
  script.sent();
  script.ready(2);
  script.answer("-2 ok");
  script.wait(kSecond);
  EXPECT_EQ(script.sent(), "");
  EXPECT_FALSE(script.has_commit());
  EXPECT_FALSE(script.engine().wants_read(PartitionId{0}).has_value());
  EXPECT_FALSE(script.engine().wake_at().has_value()) << "a timer that nothing answers would fire for ever";
  EXPECT_EQ(script.state(0), "waiting");
}

TEST(EngineCommit, AnAnswerThatMakesNoSenseBreaksTheEngine) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("-1");
  script.answer("-1 ok");
  script.refuse(ErrorCode::Corruption);
  ASSERT_TRUE(script.broken.has_value());
  EXPECT_EQ(script.broken->code, ErrorCode::Corruption);
}

// ---- ReserveFirst ----

EngineSettings reserving(std::int64_t step) {
  auto settings = script_settings();
  settings.limits.reserve_step = step;
  return settings;
}

// ReserveFirst
TEST(EngineReserve, NothingIsDispatchedAtOrPastTheDurableReservation) {
  EngineScript script(reserving(4));
  script.start();
  const std::int64_t reserved = script.journal.dispatched_through();
  EXPECT_EQ(reserved, 4);
  script.ready(1);
  script.publish("-1 -2 -3 -4 -5 -6 -7 -8 -9");
  EXPECT_EQ(script.sent(), "1:-1,-2,-3,-4");
  ASSERT_TRUE(script.has_commit()) << "the next reservation is on its way";
  script.refuse();
  EXPECT_EQ(script.sent(), "");
  script.wait(kSecond);
  EXPECT_EQ(script.sent(), "") << "sent is not durable";
  script.store();
  EXPECT_EQ(script.sent(), "1:-5,-6,-7,-8,-9");
}

// ReserveFirst
TEST(EngineReserve, RidersAreReservedToo) {
  EngineScript script(reserving(2));
  script.start();
  script.ready(1);
  script.publish("a1 a2 a3");
  EXPECT_EQ(script.sent(), "1:a1,a2");
  script.store_all();
  script.answer("a1 ok, a2 ok");
  EXPECT_EQ(script.sent(), "1:a3");
}

TEST(EngineReserve, IsAskedForAheadOfNeed) {
  EngineScript script(reserving(8));
  script.start();
  script.ready(1);
  script.publish("-1 -2 -3 -4 -5");
  EXPECT_EQ(script.sent(), "1:-1,-2,-3,-4,-5") << "nobody had to wait";
  ASSERT_TRUE(script.has_commit());
  EXPECT_THAT(script.commit().finished, IsEmpty());
  script.store();
  EXPECT_EQ(script.journal.dispatched_through(), 13);
}

TEST(EngineReserve, OneOffsetAtATimeStillGetsOn) {
  EngineScript script(reserving(1));
  script.start();
  script.ready(1);
  script.publish("a1 -2 a3");
  script.store_all();
  for (const char* name : {"a1 ok", "-2 ok", "a3 ok"}) {
    script.store_all();
    script.answer(name);
  }
  script.store_all();
  EXPECT_EQ(script.journal.cursor(), 3);
}

TEST(EngineReserve, ReservationOfTheFormerOwnerIsKept) {
  EngineScript script(reserving(100));
  script.start();
  EXPECT_EQ(script.journal.dispatched_through(), 100);
  script.settings.limits.reserve_step = 4;
  script.start();
  EXPECT_EQ(script.journal.dispatched_through(), 100) << "it never goes back";
  EXPECT_THAT(script.journal.blames(), IsEmpty());
}

TEST(EngineReserve, EmptyStepsReserveNothing) {
  auto settings = script_settings();
  settings.current.step_names.clear();
  EngineScript script(settings);
  script.start();
  EXPECT_EQ(script.journal.dispatched_through(), 0);
}

// ---- the load ----

TEST(EngineLoad, LoadedFinishedRangesAreNotRunAgain) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("-1 -2 -3 -4");
  script.answer("-2 ok, -4 filtered");
  script.store_all();
  script.start();
  script.ready(1);
  script.read();
  EXPECT_EQ(script.sent(), "1:-1,-3");
  script.answer("-1 ok, -3 ok");
  script.store_all();
  EXPECT_EQ(script.journal.cursor(), 4);
  EXPECT_THAT(script.journal.blames(), IsEmpty());
}

TEST(EngineLoad, FinishedRangeOfSeveralOffsetsIsAppliedToEach) {
  SimJournal journal;
  LoadedPosition loaded = journal.load();
  loaded.partitions[0].cursor = Offset{10};
  loaded.partitions[0].finished = {range(11, 2, FinalState::Succeeded), range(14, 1, FinalState::DeadLettered)};
  EngineScript script;
  Engine engine(script_settings(), loaded, script.now);
  SimLog log;
  for (int i = 0; i < 16; ++i) log.append(EngineScript::message_of(fmt::format("-{}", i)));
  Outputs out;
  engine.records(PartitionId{0}, log.read(Offset{10}), script.now, out);
  const Window* window = &engine.backlog().window(0);
  std::string states;
  for (std::int64_t o = 10; o < 16; ++o) states += window->at(Offset{o}).state == EntryState::Final ? 'f' : 'w';
  EXPECT_EQ(states, "wffwfw");
}

TEST(EngineLoad, UnstoredSuffixOfAKeyRunsAgainInOrder) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("a1 a2 a3");
  script.answer("a1 ok");
  script.store_all();
  script.answer("a2 ok");  // received, not stored
  script.start();
  script.ready(1);
  script.read();
  EXPECT_EQ(script.sent(), "1:a2,a3");
}

TEST(EngineLoad, AttemptsSurvive) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("a1 a2");
  script.sent();
  script.answer("a1 failed, a2 not_started");
  script.store_all();
  script.start();
  script.ready(1);
  script.read();
  EXPECT_EQ(script.sent(), "") << "the retry's time survives as well, and holds the key";
  script.wait(kSecond);
  EXPECT_EQ(script.sent(), "1:a1#2,a2");
  script.answer("a1 failed, a2 not_started");
  script.store_all();
  script.start();
  script.ready(1);
  script.read();
  script.wait(kSecond);
  EXPECT_EQ(script.sent(), "1:a1#3,a2");
  script.answer("a1 failed, a2 not_started");
  script.store_all();
  EXPECT_EQ(script.state(0), "dead_lettered");
  ASSERT_THAT(script.journal.dead_letters(), SizeIs(1));
  EXPECT_EQ(script.journal.dead_letters()[0].attempts, 3);
  EXPECT_THAT(script.journal.blames(), IsEmpty());
}

TEST(EngineLoad, FirstErrorSurvives) {
  EngineScript script;
  script.settings.current.retry.max_attempts = 2;
  script.start();
  script.ready(1);
  script.publish("a1");
  script.answer("a1 timed_out");
  script.store_all();
  script.start();
  script.ready(1);
  script.read();
  script.wait(kSecond);
  script.answer("a1 failed");
  script.store_all();
  ASSERT_THAT(script.journal.dead_letters(), SizeIs(1));
  EXPECT_EQ(script.journal.dead_letters()[0].first_error, "error: timed_out");
  EXPECT_EQ(script.journal.dead_letters()[0].last_error, "error: failed");
}

TEST(EngineLoad, ClockThatWasWrongDoesNotPutARetryOffForYears) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("a1");
  script.answer("a1 failed");
  script.store_all();
  script.now.wall.ms = 0;  // the machine woke up in 1970
  script.start();
  script.read();
  ASSERT_TRUE(script.engine().wake_at().has_value());
  EXPECT_LE(*script.engine().wake_at() - script.now.mono, std::chrono::hours(24 * 30));
}

}  // namespace
}  // namespace dhub::delivery
