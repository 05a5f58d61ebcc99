// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include "api/fake_client.h"

namespace dhub::api {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;

class PipelinesTest : public FakeWorld {
 protected:
  static std::string ids(const FakeAnswer& page) {
    std::string all;
    const auto json = page.json();
    for (const auto& item : json.at("items").as_array())
      all += fmt::format("{}@{} ", std::string_view(item.at("id").as_string()),
                         std::string_view(item.at("version").as_string()));
    return all;
  }
  // Versions 1 to `count` of "orders".
  void add_versions(int count) {
    catalog.add("orders");
    for (int i = 2; i <= count; ++i) {
      PipelineVersion next = catalog.stored.at("orders").back();
      next.version = Version{i};
      catalog.stored.at("orders").push_back(next);
    }
  }
};

TEST_F(PipelinesTest, CreateAnswersWhatIsStoredAndWhere) {
  const FakeAnswer made =
      post("/pipelines/", R"({"id":"orders","name":"Order Processing","options":{"event":"orders-topic"},"steps":[]})");
  EXPECT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(made.body,
            R"({"id":"orders","name":"Order Processing","version":"1","options":{"event":"orders-topic"},"steps":[],)"
            R"("metadata":{},"created_at":"2023-11-14T22:13:20.000Z"})");
  EXPECT_EQ(made.header("location"), "/api/v1/pipelines/orders");
  EXPECT_EQ(made.header("etag"), "\"1\"");
  EXPECT_EQ(call("GET", made.header("location")).body, made.body);
}

TEST_F(PipelinesTest, WithoutAnIdOneIsMade) {
  for (int i = 0; i < 2; ++i) {
    const FakeAnswer made = post("/pipelines", R"({"name":"n"})");
    ASSERT_EQ(made.status, 201) << made.body;
    EXPECT_THAT(std::string(made.json().at("id").as_string()), MatchesRegex("pipeline-[a-z0-9]+"));
    EXPECT_EQ(made.json().at("id").as_string().size(), 21U);
  }
  EXPECT_EQ(catalog.stored.size(), 2U);
}

TEST_F(PipelinesTest, WhatCannotBeStoredIsNamed) {
  struct Case {
    const char* body;
    const char* pointers;
    const char* said;
  };
  for (const Case& one : {Case{R"({})", "/name", "is missing"},
                          {R"({"name":7})", "/name", "must be a string"},
                          {R"({"name":"n","option":{}})", "/option", "did you mean 'options'"},
                          {R"({"name":"n","options":[]})", "/options", "must be an object"},
                          {R"({"name":"n","steps":{}})", "/steps", "must be a list"},
                          {R"({"name":"n","metadata":"m"})", "/metadata", "must be an object"},
                          {R"({"name":"n","version":"1"})", "/version", "is not a field"},
                          {R"({"name":"n","id":"A"})", "/id", ""},
                          {R"({"name":"n","id":""})", "/id", ""},
                          {R"({"name":"n","id":"validate"})", "/id", ""},
                          {R"({"name":"n","id":null})", "/id", "must be a string"},
                          {R"({"a/b":1,"id":2,"steps":3})", "/a~1b /steps /id /name", ""},
                          {R"({"name":"n","options":{"event":7}})", "/options/event", ""},
                          {R"({"name":"n","options":{"evnt":"in"}})", "/options/evnt", "event"},
                          {R"({"name":"n","steps":[{"name":"s"}]})", "/steps/0/script", ""},
                          {R"([])", "", "must be a JSON object"},
                          {R"("n")", "", "must be a JSON object"}}) {
    const FakeAnswer answer = post("/pipelines", one.body);
    EXPECT_EQ(answer.status, 422) << one.body << answer.body;
    EXPECT_EQ(answer.code(), "invalid_argument") << one.body;
    EXPECT_EQ(answer.pointers(), one.pointers) << answer.body;
    EXPECT_THAT(answer.body, HasSubstr(one.said)) << one.body;
  }
  EXPECT_TRUE(catalog.stored.empty());
}

TEST_F(PipelinesTest, WhatIsKnownAndNotServedSaysThat) {
  const FakeAnswer answer = post("/pipelines", R"({"name":"n","steps":[{"name":"s","script":".","language":"jq"}]})");
  EXPECT_EQ(answer.status, 422);
  EXPECT_EQ(answer.code(), "not_served_yet");
  EXPECT_EQ(answer.pointers(), "/steps/0/language");
}

TEST_F(PipelinesTest, WhatIsNoJsonIsMalformed) {
  for (const std::string body : {"", " ", "{", R"({"name":"a","name":"b"})", R"({"options":{"a":1,"a":1}})", "{'a':1}",
                                 R"({"name":"\xFF"})", R"({"a":1}x)", "\xEF\xBB\xBF{}", R"({"name":"\ud800"})"}) {
    const FakeAnswer answer = post("/pipelines", body);
    EXPECT_EQ(answer.status, 400) << body << answer.body;
    EXPECT_EQ(answer.code(), "malformed") << body;
  }
  EXPECT_EQ(post("/pipelines", std::string(5000, '[')).status, 400);
  EXPECT_TRUE(catalog.stored.empty());
}

TEST_F(PipelinesTest, OnlyJsonInUtf8IsTaken) {
  for (const char* type : {"text/plain", "application/yaml", "application/x-www-form-urlencoded", "application/jsonx",
                           "application/json; charset=utf-16", "multipart/form-data; boundary=x"}) {
    const FakeAnswer answer = post("/pipelines", R"({"name":"n"})", {{"Content-Type", type}});
    EXPECT_EQ(answer.code(), "unsupported_media_type") << type;
    EXPECT_EQ(answer.status, 415) << type;
  }
  EXPECT_EQ(post("/pipelines", R"({"name":"n"})", {{"Content-Encoding", "br"}}).status, 415);
  for (const char* type : {"application/json", "APPLICATION/JSON ; charset=\"UTF-8\""})
    EXPECT_EQ(post("/pipelines", R"({"name":"n"})", {{"Content-Type", type}}).status, 201) << type;
}

TEST_F(PipelinesTest, TheListHasPagesAndTellsWhatRuns) {
  for (const char* id : {"c", "a", "b"}) catalog.add(id);
  catalog.start("a");
  catalog.start("b", DesiredState::Paused);
  catalog.start("c", DesiredState::Stopped);
  const FakeAnswer first = get("/pipelines?limit=2");
  EXPECT_EQ(ids(first), "a@1 b@1 ");
  for (int i : {0, 1}) EXPECT_EQ(first.json().at("items").at(i).at("running_version").as_string(), "1");
  EXPECT_EQ(first.json().at("token").as_string(), "b");
  const FakeAnswer second = get("/pipelines?limit=2&token=b");
  EXPECT_EQ(ids(second), "c@1 ");
  EXPECT_FALSE(second.json().as_object().contains("token"));
  EXPECT_FALSE(second.json().at("items").at(0).as_object().contains("running_version")) << "it is stopped";
  EXPECT_EQ(get("/pipelines?token=z").body, R"({"items":[]})");
  for (const char* query : {"token=B", "token=a%2Fb", "token=%00", "limit=0", "limit=501", "limit=1e2", "name=a"})
    EXPECT_EQ(get(fmt::format("/pipelines?{}", query)).code(), "invalid_argument") << query;
}

TEST_F(PipelinesTest, AVersionIsAskedForByItsNumber) {
  add_versions(2);
  EXPECT_EQ(get("/pipelines/orders").header("etag"), "\"2\"");
  EXPECT_EQ(get("/pipelines/orders?version=1").header("etag"), "\"1\"");
  for (const char* version : {"3", "0", "01", "-1", "", "x", "4294967297"})
    EXPECT_EQ(get(fmt::format("/pipelines/orders?version={}", version)).status, 404) << version;
  EXPECT_EQ(get("/pipelines/orders?version=1&version=1").status, 422);
  EXPECT_EQ(get("/pipelines/nobody?version=1").status, 404);
}

TEST_F(PipelinesTest, PutStoresTheNextVersionAndKeepsWhatIsAbsent) {
  catalog.add("orders");
  const FakeAnswer put_name = put("/pipelines/orders", R"({"name":"New"})");
  EXPECT_EQ(put_name.status, 200) << put_name.body;
  EXPECT_EQ(put_name.header("etag"), "\"2\"");
  EXPECT_EQ(put_name.json().at("options").at("event").as_string(), "in");
  EXPECT_EQ(put("/pipelines/orders", R"({"name":"New"})").header("etag"), "\"2\"") << "the same is no new version";
  EXPECT_EQ(put("/pipelines/orders", "{}").header("etag"), "\"2\"");
  const FakeAnswer put_options = put("/pipelines/orders", R"({"options":{}})");
  EXPECT_EQ(put_options.json().at("version").as_string(), "3");
  EXPECT_FALSE(put_options.json().at("options").as_object().contains("event")) << "replaced whole";
}

TEST_F(PipelinesTest, WhatWasReadMayBeSentBack) {
  catalog.add("orders");
  catalog.start("orders");
  const FakeAnswer read = get("/pipelines/orders");
  ASSERT_TRUE(read.json().as_object().contains("running_version"));
  EXPECT_EQ(put("/pipelines/orders", read.body, {{"If-Match", read.header("etag")}}).status, 200);
  EXPECT_EQ(catalog.stored.at("orders").size(), 1U);
  for (const auto& [body, pointer] :
       std::map<std::string, std::string>{{R"({"id":"other"})", "/id"},
                                          {R"({"id":null})", "/id"},
                                          {R"({"version":"2"})", "/version"},
                                          {R"({"version":1})", "/version"},
                                          {R"({"created_at":"2023-11-14T22:13:20Z"})", "/created_at"},
                                          {R"({"running_version":null})", "/running_version"},
                                          {R"({"running_version":"2"})", "/running_version"},
                                          {R"({"uid":1})", "/uid"},
                                          {R"({"steps":null})", "/steps"}}) {
    const FakeAnswer answer = put("/pipelines/orders", body);
    EXPECT_EQ(answer.status, 422) << body;
    EXPECT_EQ(answer.pointers(), pointer) << body;
  }
  EXPECT_EQ(catalog.stored.at("orders").size(), 1U);
}

TEST_F(PipelinesTest, AVersionThatDoesNotRunIsNullAtMost) {
  catalog.add("orders");
  EXPECT_EQ(put("/pipelines/orders", R"({"running_version":null})").status, 200);
  EXPECT_EQ(put("/pipelines/orders", R"({"running_version":"1"})").pointers(), "/running_version");
}

TEST_F(PipelinesTest, IfMatchNamesTheNewestVersionOrNothingChanges) {
  add_versions(2);
  struct Case {
    const char* header;
    int status;
  };
  for (const auto& [header, status] : {Case{"\"1\"", 412},
                                       {"W/\"2\"", 412},
                                       {"\"\"", 412},
                                       {"\"x\"", 412},
                                       {"\"1\", \"3\"", 412},
                                       {"2", 400},
                                       {"\"2", 400},
                                       {"\"", 400},
                                       {"", 412},
                                       {"\"1\" \"2\"", 412},
                                       {"\"2\",,", 400}}) {
    EXPECT_EQ(put("/pipelines/orders", R"({"name":"New"})", {{"If-Match", header}}).status, status) << header;
    EXPECT_EQ(remove("/pipelines/orders", {{"If-Match", header}}).status, status) << header;
  }
  ASSERT_EQ(catalog.stored.at("orders").size(), 2U);
  EXPECT_EQ(put("/pipelines/orders", R"({"name":"a"})", {{"If-Match", "\"1\" , \"2\""}}).status, 200);
  EXPECT_EQ(put("/pipelines/orders", R"({"name":"b"})", {{"If-Match", "*"}}).status, 200);
  EXPECT_EQ(put("/pipelines/orders", R"({"name":"c"})", {{"If-Match", "\"4\""}, {"if-match", "\"4\""}}).status, 400);
  EXPECT_EQ(remove("/pipelines/orders", {{"If-Match", "\"4\""}}).status, 200);
}

TEST_F(PipelinesTest, DeadLettersAreDiscardedOnlyWhenThatIsSaid) {
  catalog.add("a");
  catalog.add("b");
  for (const char* query :
       {"discard_dead_letters=yes", "discard_dead_letters=", "discard_dead_letters=TRUE", "force=true"})
    EXPECT_EQ(remove(fmt::format("/pipelines/a?{}", query)).status, 422) << query;
  ASSERT_EQ(catalog.stored.size(), 2U);
  const FakeAnswer deleted = remove("/pipelines/a");
  EXPECT_EQ(deleted.body, R"({"message":"Pipeline deleted successfully"})");
  EXPECT_FALSE(catalog.discarded);
  EXPECT_EQ(remove("/pipelines/b?discard_dead_letters=true").status, 200);
  EXPECT_TRUE(catalog.discarded);
  EXPECT_EQ(remove("/pipelines/b").status, 404) << "it is gone";
}

TEST_F(PipelinesTest, WhatKeepsAPipelineIsTold) {
  catalog.add("orders");
  catalog.delete_error = Error{ErrorCode::Conflict, "There are 3 dead letters.", {}};
  const FakeAnswer answer = remove("/pipelines/orders");
  EXPECT_EQ(answer.status, 409);
  EXPECT_EQ(answer.code(), "conflict");
  EXPECT_EQ(answer.json().at("detail").as_string(), "There are 3 dead letters.");
}

TEST_F(PipelinesTest, VersionsAreListedNewestFirst) {
  add_versions(5);
  const FakeAnswer first = get("/pipelines/orders/versions?limit=2");
  EXPECT_EQ(ids(first), "orders@5 orders@4 ");
  EXPECT_EQ(first.json().at("token").as_string(), "4");
  EXPECT_EQ(ids(get("/pipelines/orders/versions?limit=2&token=4")), "orders@3 orders@2 ");
  const FakeAnswer last = get("/pipelines/orders/versions?limit=2&token=2");
  EXPECT_EQ(ids(last), "orders@1 ");
  EXPECT_FALSE(last.json().as_object().contains("token"));
  for (const char* token : {"0", "-1", "x", "", "2147483648", "99999999999999999999"})
    EXPECT_EQ(get(fmt::format("/pipelines/orders/versions?token={}", token)).pointers(), "?token") << token;
  EXPECT_EQ(get("/pipelines/nobody/versions").status, 404);
}

TEST_F(PipelinesTest, AHandlerThatFailsAnswersAndTheServerGoesOn) {
  catalog.throws = true;
  const FakeAnswer answer = get("/pipelines");
  EXPECT_EQ(answer.status, 500);
  EXPECT_EQ(answer.code(), "internal");
  EXPECT_EQ(answer.body.find("the secret cause"), std::string::npos);
  catalog.throws = false;
  EXPECT_EQ(get("/pipelines").status, 200);
}

}  // namespace
}  // namespace dhub::api
