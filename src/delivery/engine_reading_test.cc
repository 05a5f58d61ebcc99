// SPDX-License-Identifier: Apache-2.0
// The window: how far the engine reads, what it holds, and what it makes of offsets without a record.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "delivery/engine_script.h"

namespace dhub::delivery {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

constexpr PartitionId kFirst{0};

TEST(EngineReading, BeginsAtTheCursorAndGoesOnBehindWhatItHas) {
  EngineScript script;
  script.start();
  EXPECT_EQ(script.engine().wants_read(kFirst), Offset{0});
  script.publish("a1 a2");
  EXPECT_EQ(script.engine().wants_read(kFirst), Offset{2});
}

TEST(EngineReading, RecordsItHasAlreadyAreSkipped) {
  EngineScript script;
  script.start();
  script.publish("a1 a2");
  Outputs out;
  script.engine().records(kFirst, script.logs[0].read(Offset{0}), script.now, out);
  EXPECT_EQ(script.engine().wants_read(kFirst), Offset{2});
  script.ready(1);
  EXPECT_EQ(script.sent(), "1:a1,a2");
}

// ---- partitions that come later ----

TEST(EnginePartitions, OneThatComesLaterIsReadFromWhereItBeginsAndStored) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("a1 b1");
  script.add_partition();
  EXPECT_EQ(script.engine().wants_read(PartitionId{1}), Offset{0});
  script.publish("c1 c2", 1);
  script.store_all();  // the reservation of the new partition
  script.answer("a1 ok, b1 ok, c1 ok, c2 ok");
  script.store_all();
  EXPECT_EQ(script.journal.cursor(0), 2);
  EXPECT_EQ(script.journal.cursor(1), 2);
}

TEST(EnginePartitions, OneThatComesWhileACommitIsUnderWayIsNotPartOfIt) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("a1");
  script.answer("a1 ok");
  ASSERT_TRUE(script.has_commit());
  script.add_partition();
  EXPECT_THAT(script.commit().partitions, SizeIs(1));
  script.store_all();
  EXPECT_GT(script.journal.dispatched_through(1), 0);
}

TEST(EnginePartitions, NothingOfItIsDispatchedBeforeItsReservationIsStored) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.add_partition();
  script.publish("c1", 1);
  EXPECT_EQ(script.sent(), "");
  script.store_all();
  EXPECT_EQ(script.sent(), "1:c1");
}

TEST(EnginePartitions, AfterALoadItIsOneLikeTheOthers) {
  EngineScript script;
  script.start();
  script.add_partition();
  script.publish("c1", 1);
  script.start();
  script.ready(1);
  script.publish("a1");
  script.read(1);
  EXPECT_EQ(script.sent(), "1:a1 1:c1");
}

TEST(EnginePartitions, WithOneOrderAPartitionANewOneHasItsOwn) {
  auto settings = script_settings();
  settings.ordering = Ordering::Partition;
  EngineScript script(settings);
  script.start();
  script.ready(1);
  script.ready(2);
  script.publish("a1 b1");
  script.answer("a1 failed, b1 not_started");
  script.add_partition();
  script.publish("c1", 1);
  script.store_all();
  EXPECT_EQ(script.sent(), "1:a1,b1 1:c1") << "the failure of the other partition does not hold it up";
}

// ---- the window's offsets ----

EngineSettings window_of(std::int64_t offsets) {
  auto settings = script_settings();
  settings.limits.window_offsets = offsets;
  return settings;
}

TEST(EngineWindow, FullWindowPausesReadingUntilItsFirstEventIsStored) {
  EngineScript script(window_of(3));
  script.start();
  script.ready(1);
  script.append("-1 -2 -3 -4");
  script.read();
  EXPECT_FALSE(script.engine().wants_read(kFirst).has_value());
  EXPECT_TRUE(script.engine().view(kFirst).window_full);
  script.answer("-2 ok, -3 ok");
  script.store_all();
  EXPECT_FALSE(script.engine().wants_read(kFirst).has_value()) << "-1 blocks it";
  EXPECT_EQ(script.engine().view(kFirst).cursor, Offset{0}) << "and is named";
  script.answer("-1 ok");
  EXPECT_FALSE(script.engine().wants_read(kFirst).has_value()) << "not stored yet";
  script.store_all();
  EXPECT_EQ(script.engine().wants_read(kFirst), Offset{3});
  script.read();
  script.answer("-4 ok");
  script.store_all();
  EXPECT_EQ(script.journal.cursor(), 4);
}

TEST(EngineWindow, RecordsBeyondItAreReadAgainLater) {
  EngineScript script(window_of(2));
  script.start();
  script.ready(1);
  script.publish("-1 -2 -3");
  EXPECT_EQ(script.sent(), "1:-1,-2");
  EXPECT_EQ(script.engine().view(kFirst).next_read, Offset{2});
}

TEST(EngineWindow, HoleLargerThanTheWindowIsPassedInPieces) {
  EngineScript script(window_of(10));
  script.start();
  script.ready(1);
  script.logs[0].skip(35);
  script.append("a1");
  int rounds = 0;
  for (; script.journal.cursor() < 35 && rounds < 20; ++rounds) {
    script.read();
    script.store_all();
  }
  EXPECT_LT(rounds, 20);
  script.answer("a1 ok");
  script.store_all();
  EXPECT_EQ(script.journal.cursor(), 36);
}

// ---- holes ----

TEST(EngineHoles, OffsetWithoutARecordIsAbsent) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.append("a1 a2 a3");
  script.logs[0].compact_away(Offset{1});
  script.read();
  EXPECT_EQ(script.sent(), "1:a1,a3");
  script.answer("a1 ok, a3 ok");
  script.store_all();
  EXPECT_EQ(script.state(1), "absent");
  EXPECT_EQ(script.journal.cursor(), 3);
}

TEST(EngineHoles, HolesAtTheEndArePassedToo) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.append("a1");
  script.logs[0].skip(2);
  script.read();
  script.answer("a1 ok");
  script.store_all();
  EXPECT_EQ(script.journal.cursor(), 3) << "so lag reaches zero";
}

TEST(EngineHoles, EmptyReadThatGotFurtherIsAHole) {
  EngineScript script;
  script.start();
  script.logs[0].skip(2);
  script.read();
  script.store_all();
  EXPECT_EQ(script.journal.cursor(), 2);
}

TEST(EngineHoles, WhatRetentionTookIsExpired) {
  EngineScript script;
  script.append("a1 a2 a3");
  script.logs[0].drop_below(Offset{2});
  script.start();
  script.ready(1);
  script.read();
  EXPECT_EQ(script.sent(), "1:a3");
  script.answer("a3 ok");
  script.store_all();
  EXPECT_EQ(script.state(0), "expired");
  EXPECT_EQ(script.state(1), "expired");
  EXPECT_EQ(script.state(2), "succeeded");
  EXPECT_EQ(script.engine().tally().expired, 2);
}

// ExpireGone
TEST(EngineHoles, FinishedEventIsNotExpiredWhenItsRecordGoes) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("-1 -2 -3");
  script.answer("-2 ok");
  script.store_all();
  script.logs[0].drop_below(Offset{3});
  script.start();
  script.read();
  script.store_all();
  EXPECT_EQ(script.state(0), "expired");
  EXPECT_EQ(script.state(1), "succeeded");
  EXPECT_EQ(script.state(2), "expired");
  EXPECT_THAT(script.journal.blames(), IsEmpty());
}

// ExpireGone
TEST(EngineHoles, EventInFlightIsNotExpired) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("a1");
  script.logs[0].drop_below(Offset{5});
  script.read();
  script.store_all();
  EXPECT_EQ(script.state(0), "waiting") << "its bytes are in memory";
  script.answer("a1 ok");
  script.store_all();
  EXPECT_EQ(script.state(0), "succeeded");
  EXPECT_EQ(script.journal.cursor(), 5);
}

// KeepBytes
TEST(EngineHoles, FailedEventWhoseRecordWasCompactedAwayRunsFromTheJournal) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("a1 b1");
  script.answer("a1 failed, b1 ok");
  script.store_all();
  script.logs[0].compact_away(Offset{0});
  script.start();
  script.ready(1);
  script.read();
  script.wait(kSecond);
  EXPECT_EQ(script.sent(), "1:a1#2");
}

// ---- the byte budget ----

// Payloads of 100 bytes and more in a budget of 1600; each is read in a batch of its own, as they would be published.
class EngineBudget : public testing::Test {
 protected:
  EngineBudget() : script(settings()) {
    script.start();
    script.ready(1);
  }
  static EngineSettings settings() {
    auto settings = script_settings();
    settings.limits.window_bytes = 1600;
    settings.limits.frame_events = 1;
    settings.current.max_instances = 2;
    return settings;
  }
  // The name, and 100 bytes of header.
  void publish(const std::string& names) {
    for (const auto& name : words(names)) {
      auto message = EngineScript::message_of(name);
      message.headers = {{"ballast", std::string(100, 'x')}};
      script.append(message);
      script.read(0, 1);
    }
  }
  [[nodiscard]] std::string held() {
    const Window* window = &script.engine().backlog().window(0);
    std::string text;
    for (Offset o = window->base(); o < window->next_read(); ++o.value)
      text += window->at(o).record != nullptr ? 'h' : '.';
    return text;
  }
  EngineScript script;
};

TEST_F(EngineBudget, ReadingStopsWhenHalfOfItIsUsedAndThereIsEnoughToBegin) {
  int read = 0;
  for (; script.engine().wants_read(kFirst) && read < 100; ++read) publish(fmt::format("-{}", read));
  EXPECT_GE(read, 4);
  EXPECT_LT(read, 20);
  script.answer("-0 ok");
  script.store_all();
  EXPECT_TRUE(script.engine().wants_read(kFirst).has_value()) << "a payload was let go";
}

TEST_F(EngineBudget, WholeBatchCountsThatAnEventKeepsAlive) {
  for (int i = 0; i < 30; ++i) script.append(i == 0 ? "-1" : "a1 a2");
  script.read();
  script.answer("-1 ok");
  script.store_all();
  EXPECT_FALSE(script.engine().wants_read(kFirst).has_value());
}

TEST_F(EngineBudget, OfALongKeyWhatIsBeyondHalfOfItIsIndexOnlyWhileOthersAreMissed) {
  script.engine().set_wanted(2);
  publish("a1 a2 a3 a4 a5 a6 a7 a8 a9");
  const auto holds = held();
  EXPECT_EQ(holds.front(), 'h');
  EXPECT_EQ(holds.back(), '.');
  EXPECT_TRUE(script.engine().wants_read(kFirst).has_value()) << "other keys can be reached";
  publish("b1");
  EXPECT_EQ(held().back(), 'h');
}

TEST_F(EngineBudget, WhatLacksItsBytesGetsThemBeforeItsTurnAndInOrder) {
  script.engine().set_wanted(2);
  publish("a1 a2 a3 a4 a5 a6 a7 a8 a9");
  std::string order;
  for (int i = 1; i <= 9; ++i) {
    if (script.engine().wants_again(kFirst)) script.read_again();
    order += script.sent() + " ";
    script.answer(fmt::format("a{} ok", i));
    script.store_all();
  }
  EXPECT_EQ(order, "1:a1 1:a2 1:a3 1:a4 1:a5 1:a6 1:a7 1:a8 1:a9 ");
  EXPECT_EQ(script.journal.cursor(), 9);
}

TEST_F(EngineBudget, FailureLetsGoOfThePayloadsBehindIt) {
  publish("a1 a2 a3 a4");
  ASSERT_EQ(held(), "hhhh");
  script.answer("a1 failed");
  EXPECT_EQ(held(), "h...");
  script.store_all();
  script.wait(kSecond);
  script.answer("a1 ok");
  EXPECT_EQ(script.engine().wants_again(kFirst), Offset{1});
  script.sent();
  script.read_again();
  EXPECT_EQ(script.sent(), "1:a2");
}

TEST_F(EngineBudget, FailedEventKeepsItsOwnBytesAndNotItsBatch) {
  script.settings.limits.window_bytes = 100'000;
  script.start();
  script.ready(1);
  for (int i = 0; i < 50; ++i) {
    auto message = EngineScript::message_of(fmt::format("-{}", i));
    message.headers = {{"ballast", std::string(1000, 'x')}};
    script.append(message);
  }
  script.read();
  script.answer("-0 failed");
  for (int i = 1; i < 50; ++i) {
    script.answer(fmt::format("-{} ok", i));
    script.store_all();
  }
  ASSERT_EQ(held()[0], 'h');
  for (int i = 0; i < 30; ++i) {
    auto message = EngineScript::message_of(fmt::format("-{}", 100 + i));
    message.headers = {{"ballast", std::string(1000, 'x')}};
    script.append(message);
  }
  script.read();
  EXPECT_TRUE(script.engine().wants_read(kFirst).has_value()) << "the first batch of 50 KB is gone";
}

// ExpireGone: let go of, and then gone from the log.
TEST_F(EngineBudget, WhatRetentionTookMeanwhileIsExpiredAndTheKeyGoesOn) {
  publish("a1 a2 a3 a4");
  script.answer("a1 failed");
  script.store_all();
  script.wait(kSecond);
  script.answer("a1 ok");
  script.logs[0].drop_below(Offset{2});
  script.read_again();
  script.store_all();
  EXPECT_EQ(script.state(1), "expired");
  EXPECT_EQ(script.last("a3").instance, 1U) << "its bytes came with the same read";
}

TEST_F(EngineBudget, WhatWasCompactedAwayMeanwhileIsAbsent) {
  publish("a1 a2 a3 a4");
  script.answer("a1 failed");
  script.store_all();
  script.wait(kSecond);
  script.answer("a1 ok");
  script.logs[0].compact_away(Offset{1});
  script.read_again();
  script.store_all();
  EXPECT_EQ(script.state(1), "absent");
}

TEST_F(EngineBudget, TopicThatEndsBeforeWhatWasReadFromItStopsTheEngine) {
  publish("a1 a2 a3 a4");
  script.answer("a1 failed");
  script.store_all();
  script.wait(kSecond);
  script.answer("a1 ok");
  script.logs[0] = SimLog();  // another topic behind the name
  script.read_again();
  ASSERT_TRUE(script.broken.has_value());
  EXPECT_EQ(script.broken->code, ErrorCode::Corruption);
  script.store_all();
  EXPECT_EQ(script.state(1), "waiting") << "nothing is written off";
}

TEST_F(EngineBudget, ErrorsAndResultsOfRetriesCount) {
  publish("-1");
  auto failed = EngineScript::outcome_of("failed");
  failed.results = std::string(3000, 'r');
  failed.step = 1;
  script.answer("-1", failed);
  script.store_all();
  EXPECT_FALSE(script.engine().wants_read(kFirst).has_value());
  script.wait(kSecond);
  script.answer("-1 ok");
  script.store_all();
  EXPECT_TRUE(script.engine().wants_read(kFirst).has_value());
}

// ---- failing rows ----

EngineSettings failing_rows(std::int64_t most) {
  auto settings = script_settings();
  settings.limits.failing_rows = most;
  return settings;
}

TEST(EngineFailing, AtTheBoundNoFirstAttemptStarts) {
  EngineScript script(failing_rows(2));
  script.start();
  script.ready(1);
  script.publish("-1 -2 -3");
  script.sent();
  script.answer("-1 failed, -2 failed, -3 not_started");
  EXPECT_EQ(script.sent(), "");
  script.store_all();
  EXPECT_EQ(script.sent(), "");
  script.wait(kSecond);
  EXPECT_EQ(script.sent(), "1:-1#2,-2#2") << "retries may";
  script.answer("-1 ok");
  script.store_all();
  EXPECT_EQ(script.sent(), "1:-3");
}

// -1 is under way, -2 has failed and is stored as such.
void leave_one_failing(EngineScript& script) {
  script.start();
  script.ready(1);
  script.publish("-1 -2");
  script.sent();
  script.answer("-2 failed");
  script.store_all();
}

TEST(EngineFailing, RowsNotReadYetDoNotBlockTheWayToThem) {
  EngineScript script(failing_rows(1));
  leave_one_failing(script);
  script.settings.limits.window_offsets = 1;  // so that -2 can be read only after -1 is stored
  script.start();
  script.ready(1);
  script.read();
  EXPECT_EQ(script.sent(), "1:-1");
}

TEST(EngineFailing, AtTheBoundWhatRetriesWaitForMayStart) {
  EngineScript script(failing_rows(1));
  leave_one_failing(script);
  script.settings.ordering = Ordering::Partition;  // from now on -2 stands behind -1
  script.start();
  script.ready(1);
  script.read();
  EXPECT_EQ(script.sent(), "1:-1");
  script.answer("-1 ok");
  script.store_all();
  script.wait(kSecond);
  EXPECT_EQ(script.sent(), "1:-2#2");
}

}  // namespace
}  // namespace dhub::delivery
