// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "tests/conformance/harness.h"

namespace dhub::conformance {

class CatalogConformance : public Suite {
 protected:
  PipelineVersion create(const std::string& id) {
    auto made = catalog().create_pipeline(pipeline_content(id));
    EXPECT_TRUE(made) << (made ? "" : made.error().message);
    return made.value_or(PipelineVersion{});
  }
  StartTrigger start_of(const PipelineVersion& pipeline, TopicUid topic) {
    StartTrigger request;
    request.pipeline = pipeline.uid;
    request.version = pipeline.version;
    request.topic = topic;
    return request;
  }
  static PipelineChange renamed(const std::string& name) {
    PipelineChange change;
    change.name = name;
    return change;
  }
  template <typename T>
  static bool is_ok(const Result<T>& result) {
    EXPECT_TRUE(result) << (result ? "" : result.error().message);
    return result.has_value();
  }
  static ErrorCode code_of_status(const Status& status) {
    EXPECT_FALSE(status.has_value()) << "this should have been refused";
    return status ? ErrorCode::Internal : status.error().code;
  }
};

TEST_P(CatalogConformance, APipelineIsStoredAsItWasGiven) {
  const auto made = create("p");
  EXPECT_EQ(made.version, Version{1});
  EXPECT_GT(made.created_at.ms, 0);
  harness().reopen();
  const auto found = catalog().pipeline("p", std::nullopt);
  ASSERT_TRUE(is_ok(found));
  const auto content = pipeline_content("p");
  EXPECT_EQ(found->uid, made.uid);
  EXPECT_EQ(found->id, "p");
  EXPECT_EQ(found->name, content.name);
  EXPECT_EQ(found->steps_json, content.steps_json);
  EXPECT_EQ(found->options_json, content.options_json);
  EXPECT_EQ(found->metadata_json, content.metadata_json);
  EXPECT_EQ(code_of(catalog().create_pipeline(pipeline_content("p"))), ErrorCode::AlreadyExists);
}

TEST_P(CatalogConformance, WhatIsMissingIsNamed) {
  create("p");
  EXPECT_EQ(code_of(catalog().pipeline("q", std::nullopt)), ErrorCode::NotFound);
  const auto version = catalog().pipeline("p", Version{2});
  ASSERT_EQ(code_of(version), ErrorCode::NotFound);
  EXPECT_NE(version.error().message.find("version 2 of pipeline 'p'"), std::string::npos);
  EXPECT_EQ(code_of(catalog().pipeline(PipelineUid{99}, Version{1})), ErrorCode::NotFound);
  EXPECT_EQ(code_of(catalog().versions("q", 0, 10)), ErrorCode::NotFound);
  EXPECT_EQ(code_of(catalog().put_pipeline("q", {}, std::nullopt)), ErrorCode::NotFound);
  EXPECT_EQ(code_of(catalog().trigger(PipelineUid{99})), ErrorCode::NotFound);
  EXPECT_EQ(code_of(set_desired_now(catalog(), PipelineUid{99}, DesiredState::Paused)), ErrorCode::NotFound);
}

TEST_P(CatalogConformance, APutStoresTheNextVersionAndKeepsWhatItDoesNotName) {
  const auto first = create("p");
  const auto second = catalog().put_pipeline("p", renamed("New"), std::nullopt);
  ASSERT_TRUE(is_ok(second));
  EXPECT_EQ(second->version, Version{2});
  EXPECT_EQ(second->name, "New");
  EXPECT_EQ(second->options_json, first.options_json);
  EXPECT_EQ(catalog().pipeline("p", Version{1})->name, first.name) << "versions do not change";
  EXPECT_EQ(catalog().pipeline("p", std::nullopt)->version, Version{2});
  EXPECT_EQ(catalog().pipeline(first.uid, Version{2})->name, "New");
}

TEST_P(CatalogConformance, IdenticalContentMakesNoVersion) {
  create("p");
  EXPECT_EQ(catalog().put_pipeline("p", renamed("Name of p"), std::nullopt)->version, Version{1});
  EXPECT_EQ(catalog().put_pipeline("p", {}, std::nullopt)->version, Version{1});
}

TEST_P(CatalogConformance, AChangeOfAnOlderVersionIsRefused) {
  create("p");
  ASSERT_TRUE(catalog().put_pipeline("p", renamed("New"), Version{1}));
  EXPECT_EQ(code_of(catalog().put_pipeline("p", renamed("Other"), Version{1})), ErrorCode::PreconditionFailed);
  EXPECT_EQ(code_of_status(catalog().delete_pipeline("p", false, Version{1})), ErrorCode::PreconditionFailed);
  EXPECT_TRUE(catalog().delete_pipeline("p", false, Version{2}));
}

TEST_P(CatalogConformance, ListsComeInPages) {
  for (const char* id : {"c", "a", "b"}) create(id);
  ASSERT_TRUE(catalog().put_pipeline("a", renamed("A2"), std::nullopt));
  ASSERT_TRUE(catalog().put_pipeline("a", renamed("A3"), std::nullopt));
  const auto page = catalog().pipelines("", 2);
  ASSERT_EQ(page->size(), 2U);
  EXPECT_EQ(page->at(0).name, "A3");
  EXPECT_EQ(page->at(1).id, "b");
  EXPECT_EQ(catalog().pipelines("b", 2)->at(0).id, "c");
  const auto versions = catalog().versions("a", 0, 2);
  ASSERT_EQ(versions->size(), 2U);
  EXPECT_EQ(versions->at(0).version, Version{3});
  EXPECT_EQ(catalog().versions("a", 2, 5)->at(0).version, Version{1});
}

TEST_P(CatalogConformance, ADeletedPipelineIsGoneAndANewOneOfItsIdIsAnother) {
  const auto old = create("p");
  const TopicUid topic = log().ensure_topic("orders")->uid;
  ASSERT_TRUE(start_trigger_now(catalog(), start_of(old, topic)));
  EXPECT_EQ(code_of_status(catalog().delete_pipeline("p", false, std::nullopt)), ErrorCode::Conflict);
  ASSERT_TRUE(set_desired_now(catalog(), old.uid, DesiredState::Stopped));
  ASSERT_TRUE(catalog().delete_pipeline("p", false, std::nullopt));
  EXPECT_EQ(code_of(catalog().pipeline("p", std::nullopt)), ErrorCode::NotFound);
  EXPECT_EQ(code_of(catalog().trigger(old.uid)), ErrorCode::NotFound);
  EXPECT_TRUE(catalog().triggers()->empty());
  EXPECT_TRUE(catalog().cursors(old.uid, topic)->empty());
  EXPECT_EQ(code_of_status(catalog().delete_pipeline("p", false, std::nullopt)), ErrorCode::NotFound);
  const auto again = create("p");
  EXPECT_GT(again.uid, old.uid);
  EXPECT_FALSE(start_trigger_now(catalog(), start_of(again, topic))->resumed);
}

TEST_P(CatalogConformance, APipelineWithDeadLettersIsDeletedOnlyOnRequest) {
  const auto pipeline = create("p");
  const auto started = start_trigger_now(catalog(), start_of(pipeline, log().ensure_topic("orders")->uid));
  const auto loaded = load_now(journal(), started->trigger.position);
  JournalCommit dead;
  dead.position = loaded->position;
  dead.owner_epoch = loaded->owner_epoch;
  dead.pass = loaded->pass;
  dead.seq = CommitSeq{1};
  dead.finished = {{PartitionId{0}, Offset{0}, 1, FinalState::DeadLettered}};
  dead.dead_letters.resize(1);
  std::promise<bool> stored;
  journal().commit(std::make_shared<const JournalCommit>(dead),
                   [&](Result<CommitAnswer> answer) { stored.set_value(answer.has_value()); });
  ASSERT_TRUE(stored.get_future().get());
  ASSERT_TRUE(set_desired_now(catalog(), pipeline.uid, DesiredState::Stopped));
  EXPECT_EQ(code_of_status(catalog().delete_pipeline("p", false, std::nullopt)), ErrorCode::Conflict);
  EXPECT_TRUE(catalog().delete_pipeline("p", true, std::nullopt));
}

TEST_P(CatalogConformance, AStartMakesTriggerAndPositionAtTheGivenOffsets) {
  const auto pipeline = create("p");
  ASSERT_TRUE(publish(log(), to_topic("orders", {text("a"), text("b")})));
  const TopicUid topic = log().topic("orders")->uid;
  auto request = start_of(pipeline, topic);
  request.initial = {{PartitionId{0}, Offset{2}}};
  const auto started = start_trigger_now(catalog(), request);
  ASSERT_TRUE(is_ok(started));
  EXPECT_FALSE(started->resumed);
  ASSERT_EQ(started->cursors.size(), 1U);
  EXPECT_EQ(started->cursors[0].offset, Offset{2});
  EXPECT_EQ(started->trigger.generation, Generation{1});
  EXPECT_EQ(started->trigger.desired, DesiredState::Running);
  EXPECT_EQ(started->trigger.topic_name, "orders");
  EXPECT_EQ(started->trigger.pipeline_id, "p");
  EXPECT_GT(started->trigger.started_at.ms, 0);
  harness().reopen();
  EXPECT_EQ(catalog().trigger(pipeline.uid)->position, started->trigger.position);
  EXPECT_EQ(catalog().cursors(pipeline.uid, topic)->at(0).offset, Offset{2});
}

TEST_P(CatalogConformance, AStartWhereAPositionIsKeepsItUnlessItSeeks) {
  const auto pipeline = create("p");
  ASSERT_TRUE(publish(log(), to_topic("orders", {text("a"), text("b"), text("c")})));
  auto request = start_of(pipeline, log().topic("orders")->uid);
  request.initial = {{PartitionId{0}, Offset{1}}};
  const auto first = start_trigger_now(catalog(), request);
  request.initial = {{PartitionId{0}, Offset{3}}};
  const auto second = start_trigger_now(catalog(), request);
  EXPECT_TRUE(second->resumed);
  EXPECT_EQ(second->cursors.at(0).offset, Offset{1});
  EXPECT_EQ(second->trigger.generation, Generation{2});
  EXPECT_EQ(second->trigger.position, first->trigger.position);
  request.seek_to = request.initial;
  const auto third = start_trigger_now(catalog(), request);
  EXPECT_EQ(third->cursors.at(0).offset, Offset{3});
  EXPECT_EQ(load_now(journal(), third->trigger.position)->pass, Pass{2});
}

TEST_P(CatalogConformance, EachChangeOfATriggerHasTheNextRevision) {
  const auto pipeline = create("p");
  const auto request = start_of(pipeline, log().ensure_topic("orders")->uid);
  std::vector<std::int64_t> revisions;
  revisions.push_back(start_trigger_now(catalog(), request)->trigger.revision.value);
  revisions.push_back(set_desired_now(catalog(), pipeline.uid, DesiredState::Paused)->revision.value);
  revisions.push_back(start_trigger_now(catalog(), request)->trigger.revision.value);
  revisions.push_back(set_desired_now(catalog(), pipeline.uid, DesiredState::Stopped)->revision.value);
  EXPECT_EQ(revisions, (std::vector<std::int64_t>{1, 2, 3, 4}));
  harness().reopen();
  EXPECT_EQ(catalog().trigger(pipeline.uid)->revision, Revision{4});
}

TEST_P(CatalogConformance, OnlyAStartBeginsAgainWhatIsStopped) {
  const auto pipeline = create("p");
  const auto request = start_of(pipeline, log().ensure_topic("orders")->uid);
  ASSERT_TRUE(start_trigger_now(catalog(), request));
  ASSERT_TRUE(set_desired_now(catalog(), pipeline.uid, DesiredState::Stopped));
  ASSERT_TRUE(set_desired_now(catalog(), pipeline.uid, DesiredState::Stopped)) << "it is so already";
  for (const auto desired : {DesiredState::Running, DesiredState::Paused})
    EXPECT_EQ(code_of(set_desired_now(catalog(), pipeline.uid, desired)), ErrorCode::Conflict);
  EXPECT_EQ(catalog().trigger(pipeline.uid)->desired, DesiredState::Stopped);
  EXPECT_EQ(start_trigger_now(catalog(), request)->trigger.desired, DesiredState::Running);
}

TEST_P(CatalogConformance, WhatALoopAsksForIsWhatOthersAreAnswered) {
  const auto pipeline = create("p");
  ASSERT_TRUE(start_trigger_now(catalog(), start_of(pipeline, log().ensure_topic("orders")->uid)));
  const auto triggers = answer_of<std::vector<Trigger>>([&](auto done) { catalog().ask_triggers(std::move(done)); });
  ASSERT_EQ(triggers->size(), 1U);
  EXPECT_EQ(triggers->at(0).pipeline_id, "p");
  const auto ask = [&](Version version) {
    return answer_of<PipelineVersion>(
        [&](auto done) { catalog().ask_pipeline(pipeline.uid, version, std::move(done)); });
  };
  EXPECT_EQ(ask(Version{1})->options_json, pipeline.options_json);
  EXPECT_EQ(code_of(ask(Version{2})), ErrorCode::NotFound);
}

TEST_P(CatalogConformance, AStartOutsideTheLogIsRefusedAndChangesNothing) {
  const auto pipeline = create("p");
  auto request = start_of(pipeline, log().ensure_topic("orders")->uid);
  request.initial = {{PartitionId{0}, Offset{1}}};
  EXPECT_EQ(code_of(start_trigger_now(catalog(), request)), ErrorCode::InvalidArgument);
  request.initial = {{PartitionId{5}, Offset{0}}};
  EXPECT_EQ(code_of(start_trigger_now(catalog(), request)), ErrorCode::InvalidArgument);
  EXPECT_EQ(code_of(catalog().trigger(pipeline.uid)), ErrorCode::NotFound);
  request.initial = {};
  request.version = Version{9};
  EXPECT_EQ(code_of(start_trigger_now(catalog(), request)), ErrorCode::NotFound);
  request.version = Version{1};
  request.topic = TopicUid{4711};
  EXPECT_EQ(code_of(start_trigger_now(catalog(), request)), ErrorCode::NotFound);
}

TEST_P(CatalogConformance, AnotherTopicIsAnotherPositionAndTheOldOneStays) {
  const auto pipeline = create("p");
  ASSERT_TRUE(publish(log(), to_topic("orders", {text("a")})));
  const TopicUid orders = log().topic("orders")->uid;
  auto request = start_of(pipeline, orders);
  request.initial = {{PartitionId{0}, Offset{1}}};
  const auto first = start_trigger_now(catalog(), request);
  const auto second = start_trigger_now(catalog(), start_of(pipeline, log().ensure_topic("invoices")->uid));
  EXPECT_NE(first->trigger.position, second->trigger.position);
  EXPECT_EQ(catalog().triggers()->size(), 1U);
  EXPECT_EQ(catalog().cursors(pipeline.uid, orders)->at(0).offset, Offset{1});
  EXPECT_TRUE(start_trigger_now(catalog(), start_of(pipeline, orders))->resumed);
}

TEST_P(CatalogConformance, AStartOnATopicElsewhereTakesItsPartitionsFromThatLog) {
  const auto pipeline = create("p");
  const TopicUid uid = *registry().enlist("kafka", "orders", "id");
  auto request = start_of(pipeline, uid);
  request.elsewhere = foreign(uid, "kafka/orders", {{7'000'000'000, 9'000'000'000}, {5, 5}, {0, 10}});
  request.initial = {{PartitionId{2}, Offset{10}}};
  const auto started = start_trigger_now(catalog(), request);
  ASSERT_TRUE(is_ok(started));
  EXPECT_FALSE(started->resumed);
  EXPECT_EQ(started->trigger.topic, uid);
  EXPECT_EQ(started->trigger.topic_name, "kafka/orders");
  harness().reopen();
  EXPECT_EQ(catalog().trigger(pipeline.uid)->topic_name, "kafka/orders");
  const auto cursors = catalog().cursors(pipeline.uid, uid);
  ASSERT_EQ(cursors->size(), 3U);
  EXPECT_EQ(cursors->at(0).offset, Offset{7'000'000'000}) << "where the log begins";
  EXPECT_EQ(cursors->at(1).offset, Offset{5});
  EXPECT_EQ(cursors->at(2).offset, Offset{10}) << "where it was told to";
  const auto loaded = load_now(journal(), started->trigger.position);
  ASSERT_TRUE(is_ok(loaded));
  ASSERT_EQ(loaded->partitions.size(), 3U);
  EXPECT_EQ(loaded->partitions[0].cursor, Offset{7'000'000'000});
  EXPECT_EQ(loaded->partitions[0].dispatched_through, Offset{7'000'000'000});
}

TEST_P(CatalogConformance, AStartOnATopicElsewhereIsCheckedAgainstThatLog) {
  const auto pipeline = create("p");
  const TopicUid uid = *registry().enlist("kafka", "orders", "id");
  auto request = start_of(pipeline, uid);
  EXPECT_EQ(code_of(start_trigger_now(catalog(), request)), ErrorCode::NotFound)
      << "the store knows no partitions of it";
  request.elsewhere = foreign(uid, "kafka/orders", {{100, 200}});
  request.initial = {{PartitionId{0}, Offset{201}}};
  EXPECT_EQ(code_of(start_trigger_now(catalog(), request)), ErrorCode::InvalidArgument);
  request.initial = {{PartitionId{1}, Offset{0}}};
  EXPECT_EQ(code_of(start_trigger_now(catalog(), request)), ErrorCode::InvalidArgument);
  request.initial = {};
  request.topic = TopicUid{4711};
  request.elsewhere = foreign(TopicUid{4711}, "kafka/orders", {{100, 200}});
  EXPECT_EQ(code_of(start_trigger_now(catalog(), request)), ErrorCode::NotFound) << "it was never enlisted";
  request.topic = log().ensure_topic("orders")->uid;
  request.elsewhere = foreign(request.topic, "orders", {{100, 200}});
  EXPECT_EQ(code_of(start_trigger_now(catalog(), request)), ErrorCode::NotFound) << "it is the store's own";
  EXPECT_EQ(code_of(catalog().trigger(pipeline.uid)), ErrorCode::NotFound);
}

TEST_P(CatalogConformance, AStartElsewhereAddsPartitionsThatAreNewAndKeepsTheOthers) {
  const auto pipeline = create("p");
  const TopicUid uid = *registry().enlist("kafka", "orders", "id");
  auto request = start_of(pipeline, uid);
  request.elsewhere = foreign(uid, "kafka/orders", {{100, 200}});
  ASSERT_TRUE(is_ok(start_trigger_now(catalog(), request)));
  request.elsewhere = foreign(uid, "kafka/orders", {{150, 300}, {3, 50}});
  const auto second = start_trigger_now(catalog(), request);
  ASSERT_TRUE(is_ok(second));
  EXPECT_TRUE(second->resumed);
  ASSERT_EQ(second->cursors.size(), 2U);
  EXPECT_EQ(second->cursors[0].offset, Offset{100});
  EXPECT_EQ(second->cursors[1].offset, Offset{3});
  request.initial = {{PartitionId{0}, Offset{300}}};
  request.seek_to = request.initial;
  const auto third = start_trigger_now(catalog(), request);
  ASSERT_TRUE(is_ok(third));
  EXPECT_EQ(third->cursors[0].offset, Offset{300});
  EXPECT_EQ(third->cursors[1].offset, Offset{3});
  EXPECT_EQ(journal().state_of(third->trigger.position, {}, Offset{299})->state, FinalState::Skipped);
  EXPECT_EQ(journal().counts(third->trigger.position)->skipped, 200);
}

TEST_P(CatalogConformance, TriggersAreListedByPipelineWithWhatIsWantedOfThem) {
  const TopicUid topic = log().ensure_topic("orders")->uid;
  for (const char* id : {"b", "a"}) ASSERT_TRUE(start_trigger_now(catalog(), start_of(create(id), topic)));
  ASSERT_TRUE(set_desired_now(catalog(), catalog().pipeline("a", std::nullopt)->uid, DesiredState::Paused));
  harness().reopen();
  const auto triggers = catalog().triggers();
  ASSERT_EQ(triggers->size(), 2U);
  EXPECT_EQ(triggers->at(0).pipeline_id, "a");
  EXPECT_EQ(triggers->at(0).desired, DesiredState::Paused);
  EXPECT_EQ(triggers->at(1).desired, DesiredState::Running);
}

}  // namespace dhub::conformance
