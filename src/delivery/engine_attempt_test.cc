// SPDX-License-Identifier: Apache-2.0
// What an outcome means: charges, retries, resumed steps, dead letters, published outputs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "delivery/engine_script.h"

namespace dhub::delivery {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

// StoreBeforeRetry
TEST(EngineAttempt, RetryStartsOnlyAfterTheFailureIsStored) {
  EngineScript script;
  script.settings.current.retry.initial_delay = Duration::zero();
  script.start();
  script.ready(1);
  script.publish("a1");
  script.sent();
  script.answer("a1 failed");
  script.wait(kSecond);
  EXPECT_EQ(script.sent(), "") << "its commit is under way";
  script.refuse();
  script.wait(kSecond);
  EXPECT_EQ(script.sent(), "") << "and was refused";
  script.store();
  EXPECT_EQ(script.sent(), "1:a1#2");
}

TEST(EngineAttempt, RetryWaitsForItsTime) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("a1");
  script.answer("a1 failed");
  script.store_all();
  script.sent();
  ASSERT_EQ(script.engine().wake_at(), script.now.mono + kSecond);
  script.wait(kSecond - Duration(1));
  EXPECT_EQ(script.sent(), "");
  script.wait(Duration(1));
  EXPECT_EQ(script.sent(), "1:a1#2");
  EXPECT_GT(script.engine().wake_at(), script.now.mono + kSecond) << "it only watches it run";
}

TEST(EngineAttempt, RetryAfterSaysWhen) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("a1");
  auto retry = EngineScript::outcome_of("failed");
  retry.retry_after = 30 * kSecond;
  script.answer("a1", retry);
  ASSERT_THAT(script.commit().failures, SizeIs(1));
  EXPECT_EQ(script.commit().failures[0].retry_at.ms, script.now.wall.ms + 30'000);
  script.store_all();
  EXPECT_EQ(script.engine().wake_at(), script.now.mono + 30 * kSecond);
}

TEST(EngineAttempt, AbsurdRetryAfterIsBounded) {
  for (const Duration after : {Duration::max(), Duration::min()}) {
    EngineScript script;
    script.start();
    script.ready(1);
    script.publish("a1");
    auto retry = EngineScript::outcome_of("failed");
    retry.retry_after = after;
    script.answer("a1", retry);
    const auto wait_ms = script.commit().failures.at(0).retry_at.ms - script.now.wall.ms;
    EXPECT_GE(wait_ms, 0);
    EXPECT_LE(wait_ms, 30LL * 24 * 3600 * 1000);
  }
}

TEST(EngineAttempt, EveryKindOfFailureIsCharged) {
  for (const char* kind : {"failed", "crashed", "timed_out", "oom"}) {
    EngineScript script;
    script.start();
    script.ready(1);
    script.publish("a1");
    script.answer(fmt::format("a1 {}", kind));
    script.store_all();
    EXPECT_EQ(script.journal.charged({0, 0}), 1) << kind;
    EXPECT_EQ(script.journal.failures().begin()->second.kind, EngineScript::outcome_of(kind).kind);
  }
}

// KeepBytes
TEST(EngineAttempt, FirstFailureStoresTheEventItself) {
  EngineScript script;
  script.start();
  script.ready(1);
  auto message = EngineScript::message_of("a1");
  message.headers = {{"trace", "42"}, {"empty", std::nullopt}};
  message.timestamp = WallTime{1234};
  script.append(message);
  script.read();
  script.answer("a1 failed");
  EXPECT_EQ(script.commit().failures.at(0).message, message);
}

// KeepBytes: what it is for.
TEST(EngineAttempt, FailedEventSurvivesRetention) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("a1 b1");
  script.answer("a1 failed");
  script.store_all();
  script.logs[0].drop_below(Offset{2});
  script.start();
  script.ready(2);
  script.read();
  script.wait(kSecond);
  EXPECT_EQ(script.sent(), "2:a1#2") << "from the journal; b1 is gone";
  script.answer("a1 ok");
  script.store_all();
  EXPECT_EQ(script.state(0), "succeeded");
  EXPECT_EQ(script.state(1), "expired");
}

TEST(EngineAttempt, LastAttemptIsADeadLetterWithTheWholeEvent) {
  EngineScript script;
  script.settings.current.retry.max_attempts = 2;
  script.start();
  script.ready(3);
  auto message = EngineScript::message_of("a1");
  message.headers = {{"h", "1"}};
  script.append(message);
  script.read();
  script.answer("a1 timed_out");
  script.store_all();
  script.ready(4);
  script.wait(kSecond);
  auto last = EngineScript::outcome_of("failed");
  last.step = 1;
  last.trace = "line 7";
  script.answer("a1", last);
  script.store_all();
  EXPECT_EQ(script.state(0), "dead_lettered");
  ASSERT_THAT(script.journal.dead_letters(), SizeIs(1));
  const auto& letter = script.journal.dead_letters()[0];
  EXPECT_EQ(letter.position, PositionUid{1});
  EXPECT_EQ(letter.run, (RunId{Pass{1}, PartitionId{0}, Offset{0}}));
  EXPECT_EQ(letter.topic, "orders");
  EXPECT_EQ(letter.message, message);
  EXPECT_EQ(letter.attempts, 2);
  EXPECT_EQ(letter.reason, OutcomeKind::Failed);
  EXPECT_EQ(letter.step, "second");
  EXPECT_EQ(letter.first_error, "error: timed_out");
  EXPECT_EQ(letter.last_error, "error: failed");
  EXPECT_EQ(letter.trace, "line 7");
  EXPECT_EQ(letter.created_at, script.now.wall);
  EXPECT_THAT(script.journal.failures(), IsEmpty());
  EXPECT_THAT(script.journal.published(), IsEmpty()) << "no dead letter topic was asked for";
}

TEST(EngineAttempt, RejectIsADeadLetterAtOnce) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("a1");
  script.answer("a1 rejected");
  script.store_all();
  ASSERT_THAT(script.journal.dead_letters(), SizeIs(1));
  EXPECT_EQ(script.journal.dead_letters()[0].attempts, 1);
  EXPECT_EQ(script.journal.dead_letters()[0].reason, OutcomeKind::Rejected);
}

TEST(EngineAttempt, SuccessForgetsTheFailures) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("a1");
  script.answer("a1 failed");
  script.store_all();
  script.wait(kSecond);
  script.answer("a1 ok");
  script.store_all();
  EXPECT_THAT(script.journal.failures(), IsEmpty());
  EXPECT_EQ(script.engine().view(PartitionId{0}).retrying, 0);
}

TEST(EngineAttempt, LongErrorsAreCutBetweenCharacters) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("a1");
  auto failed = EngineScript::outcome_of("failed");
  failed.error = std::string(4095, 'x') + "\xe2\x82\xac" + "more";  // a euro sign over the limit
  script.answer("a1", failed);
  EXPECT_EQ(script.commit().failures.at(0).last_error, std::string(4095, 'x'));
}

// ---- steps ----

Outcome failed_at(std::uint16_t step, std::string results) {
  Outcome outcome = EngineScript::outcome_of("failed");
  outcome.step = step;
  outcome.results = std::move(results);
  return outcome;
}

TEST(EngineSteps, NextAttemptResumesAtTheStepThatFailed) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("a1");
  script.answer("a1", failed_at(1, "first's result"));
  script.store_all();
  script.wait(kSecond);
  EXPECT_EQ(script.last("a1").step, 1);
  EXPECT_EQ(script.last("a1").results, "first's result");
}

TEST(EngineSteps, ResumingSurvivesAReload) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("a1");
  script.answer("a1", failed_at(1, "first's result"));
  script.store_all();
  script.start();
  script.ready(1);
  script.read();
  script.wait(kSecond);
  EXPECT_EQ(script.last("a1").step, 1);
  EXPECT_EQ(script.last("a1").results, "first's result");
}

TEST(EngineSteps, FromStartBeginsWithTheFirstStep) {
  EngineScript script;
  script.settings.current.retry.from_start = true;
  script.start();
  script.ready(1);
  script.publish("a1");
  script.answer("a1", failed_at(1, "first's result"));
  script.store_all();
  script.wait(kSecond);
  EXPECT_EQ(script.last("a1").step, 0);
  EXPECT_EQ(script.last("a1").results, "");
}

TEST(EngineSteps, WithoutStoredResultsItBeginsWithTheFirstStep) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("a1");
  script.answer("a1", failed_at(1, ""));
  script.store_all();
  script.wait(kSecond);
  EXPECT_EQ(script.last("a1").step, 0) << "the second step's input is not there";
}

TEST(EngineSteps, DeathOfAResumedAttemptKeepsTheResultsItBeganWith) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("a1");
  script.answer("a1", failed_at(1, "first's result"));
  script.store_all();
  script.wait(kSecond);
  script.answer("a1 crashed");
  script.store_all();
  script.ready(2);
  script.wait(kSecond);
  EXPECT_EQ(script.last("a1").attempt, 3);
  EXPECT_EQ(script.last("a1").step, 1);
  EXPECT_EQ(script.last("a1").results, "first's result");
}

// ---- dead letter topic ----

std::string header(const Message& message, const std::string& name) {
  for (const auto& h : message.headers)
    if (h.name == name) return h.value.value_or("(null)");
  return "(none)";
}

EngineSettings with_dead_letter_topic() {
  auto settings = script_settings();
  settings.current.dead_letter_topic = "orders-dead";
  return settings;
}

TEST(EngineDeadLetterTopic, GetsACopyInTheSameCommit) {
  EngineScript script(with_dead_letter_topic());
  script.start();
  script.ready(1);
  script.publish("a1");
  script.answer("a1 rejected");
  EXPECT_THAT(script.commit().dead_letters, SizeIs(1));
  ASSERT_THAT(script.commit().publications, SizeIs(1));
  const auto& copy = script.commit().publications[0];
  EXPECT_EQ(copy.topic, "orders-dead");
  EXPECT_EQ(copy.message.key, "a");
  EXPECT_EQ(copy.message.value, "a1");
  EXPECT_EQ(header(copy.message, "dhub-origin"), "orders/0/0/dead");
  EXPECT_EQ(header(copy.message, "dhub-error"), "error: rejected");
  EXPECT_EQ(header(copy.message, "dhub-hops"), "1");
}

TEST(EngineDeadLetterTopic, CopyOfACopyIsCutAtTheHopLimit) {
  EngineScript script(with_dead_letter_topic());
  script.settings.limits.hops = 2;
  script.start();
  script.ready(1);
  auto message = EngineScript::message_of("a1");
  message.headers = {{kHopsHeader, "2"}, {kErrorHeader, "old"}};
  script.append(message);
  script.read();
  script.answer("a1 rejected");
  EXPECT_THAT(script.commit().publications, IsEmpty()) << "the topic would feed itself for ever";
  EXPECT_THAT(script.commit().dead_letters, SizeIs(1)) << "kept in the store all the same";
}

TEST(EngineDeadLetterTopic, CopyCarriesOnlyItsOwnMarks) {
  EngineScript script(with_dead_letter_topic());
  script.start();
  script.ready(1);
  auto message = EngineScript::message_of("a1");
  message.headers = {{"mine", "1"}, {kHopsHeader, "1"}, {kOriginHeader, "x/0/0/0"}, {kErrorHeader, "old"}};
  script.append(message);
  script.read();
  script.answer("a1 rejected");
  const auto& copy = script.commit().publications.at(0).message;
  EXPECT_THAT(copy.headers, SizeIs(4));
  EXPECT_EQ(header(copy, "mine"), "1");
  EXPECT_EQ(header(copy, "dhub-hops"), "2");
  EXPECT_EQ(header(copy, "dhub-error"), "error: rejected");
}

// ---- outputs ----

Outcome publishing(std::string word, std::vector<Publication> publications) {
  Outcome outcome = EngineScript::outcome_of(word);
  outcome.publications = std::move(publications);
  return outcome;
}

Publication to(std::string topic, std::string value) {
  Publication publication;
  publication.topic = std::move(topic);
  publication.message.value = std::move(value);
  return publication;
}

TEST(EngineOutputs, GoOutInTheCommitThatFinishesTheEvent) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("a1");
  script.answer("a1", publishing("ok", {to("results", "x"), to("results", "y")}));
  ASSERT_THAT(script.commit().publications, SizeIs(2));
  const auto& second = script.commit().publications[1];
  EXPECT_EQ(second.topic, "results");
  EXPECT_EQ(second.message.value, "y");
  EXPECT_EQ(header(second.message, "dhub-origin"), "orders/0/0/1");
  EXPECT_EQ(header(second.message, "dhub-hops"), "1");
  EXPECT_THAT(script.commit().finished, SizeIs(1));
}

TEST(EngineOutputs, BelongToTheTraceOfTheirEvent) {
  EngineScript script;
  script.start();
  script.ready(1);
  Message event = EngineScript::message_of("a1");
  event.headers = {{"traceparent", "00-1"}};
  script.append(event);
  script.read();
  script.answer("a1", publishing("ok", {to("results", "x")}));
  EXPECT_EQ(header(script.commit().publications.at(0).message, "traceparent"), "00-1");
}

TEST(EngineOutputs, OriginIsTheSameInEveryRepeat) {
  EngineScript script;
  script.start();
  script.ready(1);
  script.publish("a1");
  script.answer("a1", publishing("ok", {to("results", "x")}));
  const auto first = header(script.commit().publications.at(0).message, "dhub-origin");
  script.start();  // before it was stored
  script.ready(1);
  script.read();
  script.answer("a1", publishing("ok", {to("results", "x")}));
  EXPECT_EQ(header(script.commit().publications.at(0).message, "dhub-origin"), first);
}

TEST(EngineOutputs, FilteredAndFailedRunsPublishNothing) {
  for (const char* word : {"filtered", "failed", "rejected", "crashed"}) {
    EngineScript script;
    script.start();
    script.ready(1);
    script.publish("a1");
    script.answer("a1", publishing(word, {to("results", "x")}));
    script.store_all();
    EXPECT_THAT(script.journal.published(), IsEmpty()) << word;
  }
}

TEST(EngineOutputs, HopsAreCountedOn) {
  EngineScript script;
  script.start();
  script.ready(1);
  auto message = EngineScript::message_of("a1");
  message.headers = {{kHopsHeader, "5"}};
  script.append(message);
  script.read();
  EXPECT_EQ(script.last("a1").hops, 5);
  auto forged = to("results", "x");
  forged.message.headers = {{kHopsHeader, "0"}, {kOriginHeader, "forged"}};
  script.answer("a1", publishing("ok", {forged}));
  const auto& sent = script.commit().publications.at(0).message;
  EXPECT_EQ(header(sent, "dhub-hops"), "6");
  EXPECT_EQ(header(sent, "dhub-origin"), "orders/0/0/0");
  EXPECT_THAT(sent.headers, SizeIs(2));
}

TEST(EngineOutputs, ChainOfTriggersIsCutAtTheHopLimit) {
  EngineScript script;
  script.start();
  script.ready(1);
  auto message = EngineScript::message_of("a1");
  message.headers = {{kHopsHeader, "64"}};
  script.append(message);
  script.read();
  script.answer("a1", publishing("ok", {to("orders", "round and round")}));
  script.store_all();
  EXPECT_THAT(script.journal.published(), IsEmpty());
  ASSERT_THAT(script.journal.dead_letters(), SizeIs(1));
  EXPECT_THAT(script.journal.dead_letters()[0].last_error, HasSubstr("64 triggers"));
}

TEST(EngineOutputs, EventAtTheHopLimitMayStillSucceedWithoutOutputs) {
  EngineScript script;
  script.start();
  script.ready(1);
  auto message = EngineScript::message_of("a1");
  message.headers = {{kHopsHeader, "64"}};
  script.append(message);
  script.read();
  script.answer("a1 ok");
  script.store_all();
  EXPECT_EQ(script.state(0), "succeeded");
}

std::string refusal_of(Publication publication) {
  EngineScript script;
  script.settings.limits.message_bytes = 100'000;
  script.start();
  script.ready(1);
  script.publish("a1");
  script.answer("a1", publishing("ok", {to("results", "fine"), std::move(publication)}));
  script.store_all();
  EXPECT_THAT(script.journal.published(), IsEmpty()) << "all of a run's outputs or none";
  if (script.journal.dead_letters().size() != 1) return "(not refused)";
  return script.journal.dead_letters()[0].last_error;
}

TEST(EngineOutputs, TopicThatIsNoNameIsRefused) {
  EXPECT_THAT(refusal_of(to("no such/topic", "x")), HasSubstr("'no such/topic', which is no topic name"));
}

TEST(EngineOutputs, MessageThatIsTooLargeIsRefused) {
  EXPECT_THAT(refusal_of(to("results", std::string(100'001, 'x'))), HasSubstr("more than 100000 bytes"));
  auto key = to("results", std::string(60'000, 'x'));
  key.message.key = std::string(60'000, 'k');
  EXPECT_THAT(refusal_of(key), HasSubstr("more than 100000 bytes")) << "key and headers count as well";
}

TEST(EngineOutputs, HeaderNameThatCannotBeStoredIsRefused) {
  auto named = to("results", "x");
  named.message.headers = {{std::string(70'000, 'n'), "1"}};
  EXPECT_THAT(refusal_of(named), HasSubstr("header name"));
}

}  // namespace
}  // namespace dhub::delivery
