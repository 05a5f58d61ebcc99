// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <sstream>

#include "api/fake_client.h"
#include "api/fake_openapi_client.h"

namespace dhub::api {
namespace {

using testing::IsEmpty;

// Each {schema, example} there is, with where it stands.
template <typename F>
void for_each_example(const Value& value, const std::string& where, const F& function) {
  const auto* object = value.if_object();
  if (object != nullptr && object->contains("schema") && object->contains("example"))
    function(object->at("schema"), object->at("example"), where);
  if (object != nullptr)
    for (const auto& [name, member] : *object)
      for_each_example(member, fmt::format("{}/{}", where, std::string_view(name)), function);
}

TEST(OpenApiExamples, AreWhatTheirSchemasSay) {
  int count = 0;
  for_each_example(document().at("components"), "",
                   [&](const Value& schema, const Value& example, const std::string& at) {
                     ++count;
                     SchemaChecker checker;
                     if (at.ends_with("application~1x-ndjson") || at.ends_with("application/x-ndjson")) {
                       std::istringstream lines(text(example));
                       for (std::string line; std::getline(lines, line);) checker.check(parsed(line), schema, at);
                     } else {
                       checker.check(example, schema, at);
                     }
                     EXPECT_THAT(checker.wrong, IsEmpty());
                   });
  EXPECT_GT(count, 50);
}

TEST(OpenApiExamples, EveryContentHasOne) {
  for (const char* kind : {"responses", "requestBodies"})
    for (const auto& [name, one] : document().at("components").at(kind).as_object())
      for (const auto& [type, content] : one.at("content").as_object())
        EXPECT_TRUE(content.as_object().contains("example")) << name << " " << type;
}

TEST(SchemaCheckerTest, SeesWhatDoesNotFit) {
  const auto wrong = [](const char* value, const char* schema) {
    SchemaChecker checker;
    checker.check(parsed(value), parsed(schema), "");
    return checker.wrong.size();
  };
  EXPECT_EQ(wrong(R"({"a":1})", R"({"type":"object","properties":{"a":{"type":"integer"}}})"), 0U);
  EXPECT_EQ(wrong(R"({"a":1,"b":2})", R"({"type":"object","properties":{"a":{"type":"integer"}}})"), 1U);
  EXPECT_EQ(wrong(R"({"a":"1"})", R"({"properties":{"a":{"type":["integer","null"]}}})"), 1U);
  EXPECT_EQ(wrong(R"({})", R"({"required":["a"],"properties":{"a":{}}})"), 1U);
  EXPECT_EQ(wrong(R"([1,"x"])", R"({"items":{"type":"integer"}})"), 1U);
  EXPECT_EQ(wrong(R"("x")", R"({"enum":["y"]})"), 1U);
  EXPECT_EQ(wrong(R"("0")", R"({"$ref":"#/components/schemas/Version"})"), 1U);
  EXPECT_EQ(wrong(R"(-1)", R"({"$ref":"#/components/schemas/Offset"})"), 1U);
  EXPECT_EQ(wrong(R"({"value":1,"value_text":""})", R"({"$ref":"#/components/schemas/NewMessage"})"), 1U);
  EXPECT_EQ(wrong(R"({"value":1,"valu":1})", R"({"$ref":"#/components/schemas/NewMessage"})"), 1U);
}

// Real answers, held against what the description says of them.
class OpenApiAnswers : public FakeWorld {
 protected:
  OpenApiAnswers() {
    catalog.add("orders");
    catalog.start("orders");
    catalog.add("idle", "{}");
    log.add("in").partitions[0].end = Offset{1};
    log.messages["in"].push_back({"k", {{"a", "1"}, {"a", std::nullopt}}, R"({"qty": 0})", WallTime{1}});
    log.messages["in"].push_back({"\xFF", {{"a", "1"}}, "\xFE", WallTime{1}});
    log.messages["in"].push_back({std::nullopt, {}, "text", WallTime{1}});
    log.messages["in"].push_back({std::nullopt, {}, std::nullopt, WallTime{1}});
    log.add("main/in").cluster = "main";
    describe_trigger();
    describe_run();
  }

  // The description of an operation's answer with this status, which it must know by itself; true when it fits.
  void hold(const std::string& id, const FakeAnswer& answer) {
    for (const Route& route : route_table()) {
      if (route.id != id) continue;
      const auto& responses =
          document().at("paths").at(route.path).at(lower(to_string(route.method))).at("responses").as_object();
      const auto* response = responses.if_contains(std::to_string(answer.status));
      ASSERT_NE(response, nullptr) << id << " does not describe " << answer.status << answer.body;
      const auto& content = followed(*response).at("content").as_object();
      const std::string type = answer.header("content-type");
      ASSERT_TRUE(content.contains(type)) << id << " " << type;
      SchemaChecker fit;
      fit.check(answer.json(), content.at(type).at("schema"), id);
      EXPECT_THAT(fit.wrong, IsEmpty()) << answer.body;
      held_.insert(id);
      return;
    }
    FAIL() << "there is no operation " << id;
  }
  std::set<std::string> held_;

 private:
  static std::string lower(std::string name) {
    for (char& c : name) c = static_cast<char>(std::tolower(c));
    return name;
  }
  void describe_trigger() {
    service::TriggerStatus& status = triggers.known["orders"];
    status.trigger = catalog.started.begin()->second;
    status.conditions = {{"Source", true, "Reading", "", ""}};
    status.partitions = {{PartitionId{0}, Offset{5}, true, Offset{9}, 4, 2, 1, 1, Offset{5}},
                         {PartitionId{1}, Offset{5}, false, Offset{0}, 0, 0, 0, 0, {}}};
    status.last_error = "ValueError: 0";
    status.last_error_at = WallTime{1};
    triggers.known["idle"].trigger.pipeline_id = "idle";
    triggers.known["idle"].trigger.desired = DesiredState::Stopped;
    triggers.message = {"retrying", Offset{1}, 2, WallTime{1}, "ValueError: 0"};
  }
  void describe_run() {
    ArchivedAttempt attempt;
    attempt.sequence = 1;
    attempt.detail.run = {Pass{1}, PartitionId{0}, Offset{4}};
    attempt.detail.attempt = 1;
    attempt.detail.version = Version{1};
    attempt.detail.key = attempt.detail.step = attempt.detail.error = attempt.detail.trace = "x";
    archive.stored = {attempt};
    DeadLetter& letter = journal.letters.emplace_back();
    letter.number = 1;
    letter.version = Version{1};
    letter.message = {"k", {{"a", "\xFF"}}, "text", WallTime{1}};
  }
};

TEST_F(OpenApiAnswers, OfEveryOperationAreAsDescribed) {
  hold("list_events", get("/events"));
  hold("start_event", post("/events/orders"));
  hold("get_event", get("/events/orders"));
  hold("get_event_status", get("/events/orders/status"));
  hold("get_event_status", get("/events/idle/status"));
  hold("pause_event", post("/events/orders/pause"));
  hold("resume_event", post("/events/orders/resume"));
  hold("delete_event", remove("/events/orders"));
  hold("list_runs", get("/events/orders/runs"));
  hold("get_run", get("/events/orders/runs/1-0-4"));
  hold("get_message_state", get("/events/orders/messages/0/4"));
  hold("list_dead_letters", get("/events/orders/dead-letters"));
  hold("get_dead_letter", get("/events/orders/dead-letters/1"));
  hold("create_pipeline", post("/pipelines", R"({"name":"n","options":{"event":"in"},"metadata":{"a":[1]}})"));
  hold("list_pipelines", get("/pipelines?limit=1"));
  hold("get_pipeline", get("/pipelines/orders"));
  hold("put_pipeline", put("/pipelines/orders", R"({"name":"New"})"));
  hold("list_pipeline_versions", get("/pipelines/orders/versions?limit=1"));
  hold("delete_pipeline", remove("/pipelines/orders"));
  hold("list_topics", get("/topics?limit=1"));
  hold("get_topic", get("/topics/main%2Fin"));
  hold("put_topic", put("/topics/new", R"({"partitions":3})"));
  hold("put_topic", put("/topics/new", ""));
  hold("read_messages", get("/topics/in/messages?limit=2"));
  hold("read_messages", get("/topics/in/messages?offset=2"));
  hold("publish_messages", post("/topics/in/messages", "x"));
  hold("delete_topic", remove("/topics/in"));
  hold("get_alive", call("GET", "/healthz"));
  hold("get_live", call("GET", "/livez"));
  hold("get_ready", call("GET", "/readyz?verbose"));
  hold("get_version", call("GET", "/version"));
  const std::set<std::string> not_json{"get_metrics", "get_docs", "get_openapi"};
  for (const Route& route : route_table())
    EXPECT_NE(held_.count(std::string(route.id)), not_json.count(std::string(route.id))) << route.id;
}

TEST_F(OpenApiAnswers, ThatRefuseAreAsDescribed) {
  checks = {{"store", false, "full"}};
  hold("get_ready", call("GET", "/readyz?verbose"));
  hold("start_event", post("/events/idle"));
  hold("start_event", post("/events/nobody"));
  hold("start_event", post("/events/orders?from=x"));
  hold("get_event", call("GET", "/api/v1/events/orders", "", nobody()));
  hold("create_pipeline", post("/pipelines", R"({"id":"orders","name":"n"})"));
  hold("create_pipeline", post("/pipelines", R"({"nam":1})"));
  hold("create_pipeline", post("/pipelines", "{"));
  hold("create_pipeline", post("/pipelines", "{}", {{"Content-Type", "text/plain"}}));
  hold("put_pipeline", put("/pipelines/orders", R"({"name":"n"})", {{"If-Match", "\"9\""}}));
  hold("put_topic", put("/topics/in", R"({"partitions":9})"));
  triggers.error = Error{ErrorCode::Conflict, "It is stopped.", {}};
  hold("pause_event", post("/events/orders/pause"));
  log.publish_error = Error{ErrorCode::StorageFull, "It is full.", {}};
  hold("publish_messages", post("/topics/in/messages", "x"));
  log.publish_error = Error{ErrorCode::Unavailable, "It is away.", {}};
  hold("publish_messages", post("/topics/in/messages", "x"));
  catalog.delete_error = Error{ErrorCode::Conflict, "It runs.", {}};
  hold("delete_pipeline", remove("/pipelines/orders"));
}

}  // namespace
}  // namespace dhub::api
