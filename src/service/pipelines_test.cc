// SPDX-License-Identifier: Apache-2.0
#include "service/pipelines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <vector>

namespace dhub::service {
namespace {

using testing::HasSubstr;

// Keeps pipelines in memory; the rest of the catalog is not asked.
class FakeCatalog : public Catalog {
 public:
  std::map<std::string, std::vector<PipelineVersion>> stored;
  int rivals = 0;     // before so many puts somebody else renames the pipeline
  int taken_ids = 0;  // so many creates find the id taken

  Result<PipelineVersion> create_pipeline(const PipelineVersion& content) override {
    if (taken_ids-- > 0 || stored.contains(content.id)) return fail(ErrorCode::AlreadyExists, "The id is taken.");
    return add(content);
  }
  Result<PipelineVersion> pipeline(const std::string& id, std::optional<Version> version) const override {
    const auto found = stored.find(id);
    if (found == stored.end() || version) return fail(ErrorCode::NotFound, "There is no such pipeline.");
    return found->second.back();
  }
  Result<PipelineVersion> put_pipeline(const std::string& id, const PipelineChange& change,
                                       std::optional<Version> if_match) override {
    PipelineVersion next = stored.at(id).back();
    if (rivals-- > 0) {
      next.name = "Renamed";
      next = add(next);
    }
    if (if_match && *if_match != next.version) return fail(ErrorCode::PreconditionFailed, "Overtaken.");
    const PipelineVersion newest = next;
    next.name = change.name.value_or(next.name);
    next.steps_json = change.steps_json.value_or(next.steps_json);
    next.options_json = change.options_json.value_or(next.options_json);
    next.metadata_json = change.metadata_json.value_or(next.metadata_json);
    if (next.name == newest.name && next.steps_json == newest.steps_json && next.options_json == newest.options_json &&
        next.metadata_json == newest.metadata_json)
      return newest;
    return add(next);
  }

  Result<PipelineVersion> pipeline(PipelineUid, Version) const override { return unasked(); }
  Result<std::vector<PipelineVersion>> pipelines(const std::string&, std::size_t) const override { return unasked(); }
  Result<std::vector<PipelineVersion>> versions(const std::string&, std::int32_t, std::size_t) const override {
    return unasked();
  }
  Status delete_pipeline(const std::string&, bool, std::optional<Version>) override { return unasked(); }
  void start_trigger(StartTrigger, Answer<StartedTrigger>) override {}
  void set_desired(PipelineUid, DesiredState, Answer<Trigger>) override {}
  void ask_triggers(Answer<std::vector<Trigger>>) override {}
  void ask_pipeline(PipelineUid, Version, Answer<PipelineVersion>) override {}
  Result<Trigger> trigger(PipelineUid) const override { return unasked(); }
  Result<std::vector<Trigger>> triggers() const override { return unasked(); }
  Result<std::vector<StartOffset>> cursors(PipelineUid, TopicUid) const override { return unasked(); }

 private:
  static tl::unexpected<Error> unasked() { return fail(ErrorCode::Internal, "Not part of this test."); }
  PipelineVersion add(PipelineVersion content) {
    auto& versions = stored[content.id];
    content.version = Version{static_cast<std::int32_t>(versions.size() + 1)};
    versions.push_back(content);
    return content;
  }
};

class FakeChecker : public ScriptChecker {
 public:
  Result<std::vector<ScriptError>> answer{std::vector<ScriptError>{}};
  int calls = 0;
  std::string interpreter;

  Result<std::vector<ScriptError>> check(const std::vector<Step>&, const std::string& wanted) override {
    ++calls;
    interpreter = wanted;
    return answer;
  }
};

class PipelinesTest : public testing::Test {
 protected:
  static NewPipeline orders() {
    NewPipeline pipeline;
    pipeline.id = "orders";
    pipeline.name = "Orders";
    pipeline.steps_json = R"([ {"script": "pass", "name": "enrich"} ])";
    pipeline.options_json = R"({"event": "orders-topic"})";
    return pipeline;
  }
  static std::map<std::string, std::string> found(const Error& error) {
    std::map<std::string, std::string> details;
    for (const auto& field : error.fields) details[field.pointer] = field.detail;
    return details;
  }
  static PipelineChange options(const std::string& json) {
    PipelineChange change;
    change.options_json = json;
    return change;
  }

  FakeCatalog catalog_;
  FakeChecker checker_;
  Pipelines pipelines_{catalog_, checker_, 1};
};

TEST_F(PipelinesTest, CreatesTheFirstVersionCanonically) {
  const auto created = pipelines_.create(orders());
  ASSERT_TRUE(created) << created.error().message;
  EXPECT_EQ(created->version, Version{1});
  EXPECT_EQ(created->id, "orders");
  EXPECT_EQ(created->steps_json, R"([{"name":"enrich","script":"pass"}])");
  EXPECT_EQ(created->options_json, R"({"event":"orders-topic"})");
  EXPECT_EQ(created->metadata_json, "{}");
}

TEST_F(PipelinesTest, TopicsThatCannotBeAreRefusedWithTheirPointers) {
  Pipelines pipelines(catalog_, checker_, 1, [](const std::string& topic) -> Status {
    if (!topic.starts_with("mian/")) return {};
    return fail(ErrorCode::InvalidArgument, "There is no cluster 'mian'; did you mean 'main'?");
  });
  NewPipeline pipeline = orders();
  pipeline.steps_json =
      R"([{"name": "a", "script": "pass"}, {"name": "b", "script": "pass", "outputs": {"result": {"topic": "mian/o"}}}])";
  pipeline.options_json = R"({"event": "mian/e", "dead_letter": {"topic": "mian/d"}})";
  const auto refused = pipelines.create(pipeline);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::InvalidArgument);
  const auto details = found(refused.error());
  EXPECT_EQ(details.size(), 3U);
  for (const char* pointer : {"/options/event", "/options/dead_letter/topic", "/steps/1/outputs/result/topic"})
    EXPECT_TRUE(details.contains(pointer)) << pointer;
  ASSERT_TRUE(pipelines.create(orders()));
  EXPECT_FALSE(pipelines.put("orders", options(R"({"event": "mian/e"})"), std::nullopt));
  EXPECT_TRUE(pipelines.put("orders", options(R"({"event": "main/e"})"), std::nullopt));
}

TEST_F(PipelinesTest, MakesAnIdWhenNoneIsGiven) {
  NewPipeline pipeline = orders();
  pipeline.id.reset();
  const auto first = pipelines_.create(pipeline);
  const auto second = pipelines_.create(pipeline);
  ASSERT_TRUE(first && second);
  EXPECT_THAT(first->id, testing::MatchesRegex("pipeline-[a-z0-9]+"));
  EXPECT_EQ(first->id.size(), 21u);
  EXPECT_NE(first->id, second->id);
}

TEST_F(PipelinesTest, TriesAnotherIdWhenAMadeOneIsTakenButNotAGivenOne) {
  NewPipeline pipeline = orders();
  pipeline.id.reset();
  catalog_.taken_ids = 2;
  EXPECT_TRUE(pipelines_.create(pipeline));

  ASSERT_TRUE(pipelines_.create(orders()));
  const auto again = pipelines_.create(orders());
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, ErrorCode::AlreadyExists);
}

TEST_F(PipelinesTest, TellsAllThatIsWrongWithTheParts) {
  NewPipeline pipeline = orders();
  pipeline.options_json = R"({"evnet": "x"})";
  pipeline.steps_json = R"([{"name": "a"}])";
  pipeline.metadata_json = "7";
  const auto created = pipelines_.create(pipeline);
  ASSERT_FALSE(created);
  EXPECT_EQ(created.error().code, ErrorCode::InvalidArgument);
  const auto details = found(created.error());
  EXPECT_EQ(details.size(), 3u);
  for (const char* pointer : {"/options/evnet", "/steps/0/script", "/metadata"}) EXPECT_EQ(details.count(pointer), 1u);
  EXPECT_TRUE(catalog_.stored.empty());
  EXPECT_EQ(checker_.calls, 0);
}

TEST_F(PipelinesTest, WhatIsNotServedIsUnsupportedUnlessSomethingIsWrongToo) {
  NewPipeline pipeline = orders();
  pipeline.options_json = R"({"breaker": {}})";
  EXPECT_EQ(pipelines_.create(pipeline).error().code, ErrorCode::Unsupported);
  pipeline.metadata_json = "7";
  EXPECT_EQ(pipelines_.create(pipeline).error().code, ErrorCode::InvalidArgument);
}

TEST_F(PipelinesTest, ScriptErrorsNameTheStepAndTheLine) {
  checker_.answer = std::vector<ScriptError>{{0, 3, "invalid syntax"}, {1, 0, "null bytes"}};
  const auto created = pipelines_.create(orders());
  ASSERT_FALSE(created);
  EXPECT_EQ(created.error().code, ErrorCode::InvalidArgument);
  EXPECT_EQ(found(created.error()), (std::map<std::string, std::string>{{"/steps/0/script", "line 3: invalid syntax"},
                                                                        {"/steps/1/script", "null bytes"}}));
  EXPECT_THAT(created.error().message, HasSubstr("/steps/0/script: line 3: invalid syntax"));
  EXPECT_TRUE(catalog_.stored.empty());
}

TEST_F(PipelinesTest, WithoutAnInterpreterNothingIsStoredAndTheUserIsToldWhatToDo) {
  checker_.answer = fail(ErrorCode::Unavailable, "python3 was not found.");
  const auto created = pipelines_.create(orders());
  ASSERT_FALSE(created);
  EXPECT_EQ(created.error().code, ErrorCode::Unavailable);
  EXPECT_THAT(created.error().message, HasSubstr("python3 was not found. Install python3"));
  EXPECT_TRUE(catalog_.stored.empty());
}

TEST_F(PipelinesTest, ChecksScriptsWithTheirInterpreterAndNotAtAllWithoutSteps) {
  NewPipeline pipeline = orders();
  pipeline.options_json = R"({"python": {"interpreter": "python3.11"}})";
  ASSERT_TRUE(pipelines_.create(pipeline));
  EXPECT_EQ(checker_.interpreter, "python3.11");

  pipeline.id = "empty";
  pipeline.steps_json = "[]";
  ASSERT_TRUE(pipelines_.create(pipeline));
  EXPECT_EQ(checker_.calls, 1);
}

TEST_F(PipelinesTest, PutKeepsWhatIsAbsentAndReplacesWhatIsPresent) {
  ASSERT_TRUE(pipelines_.create(orders()));
  const auto put = pipelines_.put("orders", options(R"({"ordering": "none"})"), std::nullopt);
  ASSERT_TRUE(put) << put.error().message;
  EXPECT_EQ(put->version, Version{2});
  EXPECT_EQ(put->options_json, R"({"ordering":"none"})");
  EXPECT_EQ(put->name, "Orders");
  EXPECT_EQ(put->steps_json, R"([{"name":"enrich","script":"pass"}])");
}

TEST_F(PipelinesTest, TheSameContentInOtherWordsMakesNoVersion) {
  ASSERT_TRUE(pipelines_.create(orders()));
  PipelineChange change;
  change.steps_json = "[{\"name\": \"enrich\",\n \"script\": \"p\\u0061ss\"}]";
  const auto put = pipelines_.put("orders", change, std::nullopt);
  ASSERT_TRUE(put);
  EXPECT_EQ(put->version, Version{1});
  EXPECT_EQ(catalog_.stored["orders"].size(), 1u);
}

TEST_F(PipelinesTest, PutChecksTheMergedWhole) {
  ASSERT_TRUE(pipelines_.create(orders()));
  checker_.answer = std::vector<ScriptError>{{0, 1, "invalid syntax"}};
  EXPECT_FALSE(pipelines_.put("orders", options("{}"), std::nullopt));
  checker_.answer = std::vector<ScriptError>{};
  const auto put = pipelines_.put("orders", options(R"({"retry": 1})"), std::nullopt);
  ASSERT_FALSE(put);
  EXPECT_EQ(found(put.error()).count("/options/retry"), 1u);
  EXPECT_EQ(catalog_.stored["orders"].size(), 1u);
}

TEST_F(PipelinesTest, PutOfAnUnknownPipelineIsNotFound) {
  EXPECT_EQ(pipelines_.put("nope", options("{}"), std::nullopt).error().code, ErrorCode::NotFound);
}

TEST_F(PipelinesTest, AnOvertakenPutIsCheckedAndMergedAgain) {
  ASSERT_TRUE(pipelines_.create(orders()));
  catalog_.rivals = 1;
  const auto put = pipelines_.put("orders", options("{}"), std::nullopt);
  ASSERT_TRUE(put) << put.error().message;
  EXPECT_EQ(put->version, Version{3});
  EXPECT_EQ(put->name, "Renamed");
  EXPECT_EQ(put->options_json, "{}");
}

TEST_F(PipelinesTest, APutThatIsAlwaysOvertakenGivesUp) {
  ASSERT_TRUE(pipelines_.create(orders()));
  catalog_.rivals = 1000;
  const auto put = pipelines_.put("orders", options("{}"), std::nullopt);
  ASSERT_FALSE(put);
  EXPECT_EQ(put.error().code, ErrorCode::Unavailable);
}

TEST_F(PipelinesTest, IfMatchRefusesAnyOtherVersion) {
  ASSERT_TRUE(pipelines_.create(orders()));
  ASSERT_TRUE(pipelines_.put("orders", options("{}"), Version{1}));
  const auto stale = pipelines_.put("orders", options(R"({"ordering": "none"})"), Version{1});
  ASSERT_FALSE(stale);
  EXPECT_EQ(stale.error().code, ErrorCode::PreconditionFailed);
  EXPECT_THAT(stale.error().message, HasSubstr("is 2, not 1"));

  catalog_.rivals = 1;
  const auto overtaken = pipelines_.put("orders", options(R"({"ordering": "none"})"), Version{2});
  ASSERT_FALSE(overtaken);
  EXPECT_EQ(overtaken.error().code, ErrorCode::PreconditionFailed);
}

}  // namespace
}  // namespace dhub::service
