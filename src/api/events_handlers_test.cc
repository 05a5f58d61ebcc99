// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <list>

#include "api/fake_client.h"

namespace dhub::api {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class StartTest : public FakeWorld {
 protected:
  StartTest() { catalog.add("orders", R"({"event":"orders-topic"})"); }
  FakeAnswer start(const std::string& query) { return post("/events/orders" + query); }
};

TEST_F(StartTest, WhereToBeginIsHandedOn) {
  struct Case {
    const char* query;
    const char* call;
  };
  for (const auto& [query, call] :
       {Case{"", "start orders - -"}, Case{"?from=committed", "start orders - 0"},
        Case{"?from=latest", "start orders - 1"}, Case{"?from=earliest", "start orders - 2"},
        Case{"?from=0:123", "start orders - - 0:123"}, Case{"?from=0:123,12:0", "start orders - - 0:123 12:0"},
        Case{"?from=0%3A5%2C1%3A6", "start orders - - 0:5 1:6"},
        Case{"?group=billing", "start orders - - group=billing"},
        Case{"?from=committed&group=a%20b", "start orders - 0 group=a b"}}) {
    triggers.calls.clear();
    const FakeAnswer answer = start(query);
    EXPECT_EQ(answer.status, 200) << query << answer.body;
    EXPECT_THAT(triggers.calls, ElementsAre(call)) << query;
  }
}

TEST_F(StartTest, WhatCannotBeAPlaceToBeginIsRefusedAndNothingStarts) {
  for (const char* query : {"?from=first",
                            "?from=",
                            "?from=0:",
                            "?from=:1",
                            "?from=0:1,",
                            "?from=0:1,0:2",
                            "?from=0:-1",
                            "?from=-1:1",
                            "?from=0:99999999999999999999",
                            "?from=4294967296:1",
                            "?from=0:1x",
                            "?from=0:1:2",
                            "?group=",
                            "?group=a%0Ab",
                            "?group=a%00b",
                            "?group=a%7Fb",
                            "?group=a%C2%85b",
                            "?group=%FF%FE",
                            "?group=%ED%A0%80",
                            "?from=earliest&group=billing",
                            "?from=0:1&group=billing",
                            "?group=a&group=b",
                            "?gruop=a"}) {
    const FakeAnswer answer = start(query);
    EXPECT_EQ(answer.status, 422) << query << answer.body;
    EXPECT_EQ(answer.code(), "invalid_argument") << query;
    if (answer.pointers() == "?from") {
      EXPECT_NE(answer.body.find("offsets by partition such as 0:123"), answer.body.npos) << query << answer.body;
    }
  }
  EXPECT_EQ(start("?group=" + std::string(250, 'a')).status, 422);
  EXPECT_THAT(triggers.calls, IsEmpty());
}

TEST_F(StartTest, WhatIsNotServedYetSaysWhatIs) {
  for (const char* query : {"?from=-20m", "?from=2026-01-01T00:00:00Z", "?dry_run=true"}) {
    const FakeAnswer answer = start(query);
    EXPECT_EQ(answer.status, 422) << query;
    EXPECT_EQ(answer.code(), "not_served_yet") << query;
    EXPECT_THAT(answer.body, HasSubstr("0:123"));
  }
}

TEST_F(StartTest, ABacklogIsToldWhenItGoesOnSomewhere) {
  triggers.started.backlog = 7;
  EXPECT_EQ(start("").header("x-backlog"), "");
  triggers.started.resumed = true;
  EXPECT_EQ(start("").header("x-backlog"), "7");
}

TEST_F(StartTest, WhetherTheGroupHadASayIsTold) {
  EXPECT_EQ(start("").header("x-position"), "");
  triggers.started.group = service::GroupUse::Adopted;
  EXPECT_EQ(start("?group=billing").header("x-position"), "group");
  triggers.started.group = service::GroupUse::PassedOver;
  EXPECT_EQ(start("?group=billing").header("x-position"), "own");
}

class EventsTest : public FakeWorld {
 protected:
  EventsTest() { catalog.add("orders"); }

  // A trigger that is in the middle of everything.
  service::TriggerStatus& busy(const std::string& id = "orders") {
    catalog.start(id);
    service::TriggerStatus status;
    status.trigger = catalog.started.at(catalog.stored.at(id).back().uid.value);
    status.ready = true;
    status.etag = "e-1";
    status.conditions = {{"Source", true, "Reading", "", ""}, {"Store", false, "DiskFull", "No room.", "Free some."}};
    status.partitions = {{PartitionId{0}, Offset{5}, true, Offset{9}, 4, 2, 1, 1, Offset{5}},
                         {PartitionId{1}, Offset{0}, true, Offset{3}, 3, 3, 0, 0, {}}};
    status.instances = 3;
    status.instances_ready = 2;
    status.instances_wanted = 4;
    status.scaling_reason = "the backlog is long";
    status.in_flight = 1;
    status.in_flight_bound = 64;
    status.last_error = "ValueError: no such order";
    status.last_error_at = WallTime{1'700'000'001'500};
    status.succeeded = 10;
    status.filtered = 11;
    status.dead_lettered = 12;
    status.expired = 13;
    status.failed_attempts = 14;
    return triggers.known[id] = status;
  }
};

TEST_F(EventsTest, TheThreeCallsAnswerExactlyThePagesBodies) {
  const FakeAnswer started = post("/events/orders");
  EXPECT_EQ(started.status, 200);
  EXPECT_EQ(started.body, R"({"message":"Event started successfully"})");
  EXPECT_EQ(started.header("content-type"), "application/json");
  EXPECT_EQ(get("/events/orders").body, R"({"ready":false})");
  busy();
  EXPECT_EQ(get("/events/orders").body, R"({"ready":true})");
  const FakeAnswer deleted = remove("/events/orders");
  EXPECT_EQ(deleted.status, 200);
  EXPECT_EQ(deleted.body, R"({"message":"Event deleted successfully"})");
  EXPECT_THAT(triggers.calls, ElementsAre("start orders - -", "status orders", "status orders", "stop orders false"));
}

TEST_F(EventsTest, AMissingEventOptionIsTheDeclared500) {
  catalog.add("plain", "{}");
  const FakeAnswer answer = post("/events/plain");
  EXPECT_EQ(answer.status, 500);
  EXPECT_EQ(answer.code(), "event_option_missing");
  EXPECT_EQ(answer.header("x-should-retry"), "false");
  EXPECT_EQ(answer.header("retry-after"), "");
  EXPECT_EQ(
      answer.json().at("detail").as_string(),
      "Pipeline 'plain' has no event option, so there is no topic to listen on. Add \"event\": \"<topic>\" to its "
      "options (PUT /api/v1/pipelines/plain), then start it again.");
  EXPECT_THAT(triggers.calls, IsEmpty());
  EXPECT_THAT(metrics.render(), HasSubstr("dhub_events_start_refused_total{reason=\"event_option_missing\"} 1\n"));
  EXPECT_THAT(logged(), HasSubstr("level=warn"));
  EXPECT_THAT(logged(), HasSubstr("pipeline=plain"));
}

TEST_F(EventsTest, OnlyANameIsAnEventOption) {
  int count = 0;
  for (const char* none : {R"({"event":""})", R"({"event":null})", R"({"event":7})", R"({"event":["in"]})",
                           R"({"Event":"in"})", R"({"retry":{"event":"in"}})"}) {
    const std::string id = fmt::format("p{}", ++count);
    catalog.add(id, none);
    EXPECT_EQ(post("/events/" + id).status, 500) << none;
  }
  EXPECT_THAT(triggers.calls, IsEmpty());
}

TEST_F(EventsTest, TheEventOptionIsThatOfTheVersionThatIsStarted) {
  PipelineVersion second = catalog.stored.at("orders").back();
  second.version = Version{2};
  second.options_json = "{}";
  catalog.stored.at("orders").push_back(second);
  EXPECT_EQ(post("/events/orders").status, 500) << "the newest";
  EXPECT_EQ(post("/events/orders?pipeline_version=2").status, 500);
  EXPECT_EQ(post("/events/orders?pipeline_version=1").status, 200);
  EXPECT_THAT(triggers.calls, ElementsAre("start orders 1 -"));
}

TEST_F(EventsTest, AVersionThatIsNotThereIsNotFound) {
  for (const char* version : {"2", "0", "-1", "01", "", "1x", "latest", "99999999999", "%00", "1%0d%0aX:y"}) {
    const FakeAnswer answer = post(fmt::format("/events/orders?pipeline_version={}", version));
    EXPECT_EQ(answer.status, 404) << version;
    EXPECT_EQ(answer.code(), "not_found");
    EXPECT_EQ(answer.header("x"), "");
  }
  EXPECT_THAT(triggers.calls, IsEmpty());
}

TEST_F(EventsTest, CallsWithoutABodyTakeAnEmptyObjectAtMost) {
  for (const char* path : {"/events/orders", "/events/orders/pause", "/events/orders/resume"}) {
    EXPECT_EQ(post(path, "{}").status, 200) << path;
    const FakeAnswer refused = post(path, R"({"from/to":"latest"})");
    EXPECT_EQ(refused.status, 422) << path;
    EXPECT_EQ(refused.pointers(), "/from~1to");
    EXPECT_EQ(post(path, "null").status, 422) << path;
    EXPECT_EQ(post(path, "{}", {{"Content-Encoding", "gzip"}}).status, 415) << path;
    EXPECT_EQ(post(path, "{}", {{"Content-Type", "application/json; charset=latin1"}}).status, 415) << path;
    EXPECT_EQ(post(path, "{}", {{"Content-Type", "Application/JSON; charset=UTF-8"}}).status, 200) << path;
  }
  EXPECT_EQ(triggers.calls.size(), 6U);
}

TEST_F(EventsTest, APositionIsForgottenOnlyWhenThatIsSaid) {
  for (const char* query : {"", "?position=keep", "?position=forget"})
    EXPECT_EQ(remove(fmt::format("/events/orders{}", query)).status, 200) << query;
  for (const char* query : {"?position=", "?position=Forget", "?position=forget&position=forget", "?forget=true"})
    EXPECT_EQ(remove(fmt::format("/events/orders{}", query)).code(), "invalid_argument") << query;
  EXPECT_THAT(triggers.calls, ElementsAre("stop orders false", "stop orders false", "stop orders true"));
}

TEST_F(EventsTest, PauseAndResumeSaySo) {
  EXPECT_EQ(post("/events/orders/pause").body, R"({"message":"Event paused successfully"})");
  EXPECT_EQ(post("/events/orders/resume").body, R"({"message":"Event resumed successfully"})");
  EXPECT_THAT(triggers.calls, ElementsAre("pause orders", "resume orders"));
}

TEST_F(EventsTest, WhatTheTriggersRefuseHasItsStatus) {
  struct Case {
    ErrorCode error;
    int status;
    const char* code;
    const char* retry_after;
  };
  for (const Case& one : {Case{ErrorCode::Conflict, 409, "conflict", ""},
                          {ErrorCode::NotFound, 404, "not_found", ""},
                          {ErrorCode::InvalidArgument, 422, "invalid_argument", ""},
                          {ErrorCode::Unsupported, 422, "not_served_yet", ""},
                          {ErrorCode::Unavailable, 503, "unavailable", "1"},
                          {ErrorCode::Cancelled, 503, "cancelled", "1"},
                          {ErrorCode::StorageFull, 507, "storage_full", "1"},
                          {ErrorCode::DeadlineExceeded, 504, "deadline_exceeded", ""},
                          {ErrorCode::OutcomeUnknown, 504, "outcome_unknown", ""},
                          {ErrorCode::EventOptionMissing, 500, "event_option_missing", ""}}) {
    triggers.error = Error{one.error, "It cannot be.", {}};
    for (const FakeAnswer& answer :
         {post("/events/orders"), get("/events/orders"), remove("/events/orders"), post("/events/orders/pause"),
          post("/events/orders/resume"), get("/events/orders/status"), get("/events")}) {
      EXPECT_EQ(answer.status, one.status);
      EXPECT_EQ(answer.code(), one.code);
      EXPECT_EQ(answer.header("retry-after"), one.retry_after) << one.code;
      EXPECT_EQ(answer.json().at("detail").as_string(), "It cannot be.");
    }
  }
}

TEST_F(EventsTest, AFaultOfOursIsLoggedAndNotShown) {
  for (const auto& [error, code] : std::map<ErrorCode, std::string>{
           {ErrorCode::Internal, "internal"}, {ErrorCode::Fenced, "internal"}, {ErrorCode::Corruption, "corruption"}}) {
    triggers.error = Error{error, "table positions at /var/lib", {{"/secret", "x"}}};
    const FakeAnswer answer = post("/events/orders");
    EXPECT_EQ(answer.status, 500);
    EXPECT_EQ(answer.code(), code);
    EXPECT_EQ(answer.header("x-should-retry"), "") << "only the declared 500 says so";
    EXPECT_EQ(answer.body.find("/var/lib"), std::string::npos) << answer.body;
    EXPECT_EQ(answer.pointers(), "");
    EXPECT_THAT(logged(), HasSubstr("table positions at /var/lib"));
    EXPECT_THAT(logged(), HasSubstr(std::string(answer.json().at("trace_id").as_string())));
  }
}

TEST_F(EventsTest, StatusTellsAll) {
  busy();
  const FakeAnswer answer = get("/events/orders/status");
  EXPECT_EQ(
      answer.body,
      R"({"pipeline_id":"orders","ready":true,"state":"running","generation":1,"version":"1","topic":"in",)"
      R"("started_at":"2023-11-14T22:13:20.000Z","lag":7,"in_flight":1,)"
      R"("instances":{"count":3,"ready":2,"wanted":4,"reason":"the backlog is long"},)"
      R"("last_error":"ValueError: no such order","last_error_at":"2023-11-14T22:13:21.500Z",)"
      R"("conditions":[{"type":"Source","ok":true,"reason":"Reading","message":"","next_action":""},)"
      R"({"type":"Store","ok":false,"reason":"DiskFull","message":"No room.","next_action":"Free some."}],)"
      R"("partitions":[{"partition":0,"cursor":5,"end":9,"lag":4,"waiting":2,"in_flight":1,"retrying":1,"blocked_by":5},)"
      R"({"partition":1,"cursor":0,"end":3,"lag":3,"waiting":3,"in_flight":0,"retrying":0}],)"
      R"("in_flight_bound":64,)"
      R"("counts":{"succeeded":10,"filtered":11,"dead_lettered":12,"expired":13,"failed_attempts":14},"etag":"e-1"})");
  EXPECT_EQ(answer.header("etag"), "\"e-1\"");
}

TEST_F(EventsTest, StatusLeavesOutWhatIsNotKnown) {
  triggers.known["orders"].trigger.pipeline_id = "orders";
  triggers.known["orders"].trigger.desired = DesiredState::Stopped;
  const auto never_started = get("/events/orders/status").json().as_object();
  EXPECT_EQ(never_started.at("state").as_string(), "stopped");
  EXPECT_EQ(never_started.at("lag").as_int64(), 0);
  for (const char* name : {"version", "topic", "started_at", "last_error", "last_error_at"})
    EXPECT_FALSE(never_started.contains(name)) << name;

  busy().partitions[1].end_known = false;
  const auto away = get("/events/orders/status").json().as_object();
  EXPECT_FALSE(away.contains("lag")) << "a sum with an unknown in it";
  EXPECT_TRUE(away.at("partitions").at(0).as_object().contains("lag"));
  for (const char* name : {"lag", "end"}) EXPECT_FALSE(away.at("partitions").at(1).as_object().contains(name)) << name;
}

TEST_F(EventsTest, WaitingForAChangeIsHandedOn) {
  for (const char* query : {"?wait=10s&seen=e-1", "?seen=&wait=60s", "?wait=0s&seen=a%20b", "?seen=e-1", ""})
    EXPECT_EQ(get(fmt::format("/events/orders/status{}", query)).status, 200) << query;
  EXPECT_THAT(triggers.calls, ElementsAre("wait orders e-1", "status orders", "wait orders ", "status orders",
                                          "wait orders a b", "status orders", "status orders", "status orders"));
}

TEST_F(EventsTest, AWaitHasItsBoundAndWhatItMustDifferFrom) {
  for (const auto& [query, pointers] : std::map<std::string, std::string>{{"?wait=10s", "?wait"},
                                                                          {"?wait=61s&seen=e", "?wait"},
                                                                          {"?wait=10&seen=e", "?wait"},
                                                                          {"?wait=-1s&seen=e", "?wait"},
                                                                          {"?wait=&seen=e", "?wait"},
                                                                          {"?wait=1s&wait=1s&seen=e", "?wait"},
                                                                          {"?wait=9h&sen=e", "?sen ?wait"}}) {
    const FakeAnswer answer = get("/events/orders/status" + query);
    EXPECT_EQ(answer.status, 422) << query << answer.body;
    EXPECT_EQ(answer.pointers(), pointers) << query;
  }
  EXPECT_THAT(triggers.calls, IsEmpty());
}

TEST_F(EventsTest, AWaitThatIsOverAnswersWithTheStatusAsItIs) {
  triggers.keep = true;
  const FakeAnswer answer = get("/events/orders/status?wait=10ms&seen=e");
  EXPECT_EQ(answer.status, 200);
  triggers.wait_for_no_waits();
}

TEST_F(EventsTest, AWaitTooManyIsToldSo) {
  triggers.error = Error{ErrorCode::Unavailable, "Too many wait.", {}};
  const FakeAnswer answer = get("/events/orders/status?wait=10s&seen=e");
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.header("retry-after"), "1");
}

TEST_F(EventsTest, WhoWaitsHoldsNoThread) {
  triggers.keep = true;
  const std::string wait = request_text("GET", "/api/v1/events/orders/status?wait=60s&seen=e");
  std::list<FakeClient> waiting;
  for (int i = 0; i < 20; ++i) waiting.emplace_back(port()).send(wait);
  triggers.wait_for_kept(20);
  EXPECT_EQ(get("/pipelines").status, 200) << "more wait than there are threads";
  triggers.answer_kept();
  for (FakeClient& client : waiting) EXPECT_EQ(client.read_answer().status, 200);
}

TEST_F(EventsTest, AnAnswerThatNeverComesIsA503) {
  triggers.keep = true;
  FakeClient client(port());
  client.send(request_text("POST", "/api/v1/events/orders"));
  triggers.wait_for_kept(1);
  triggers.drop_kept();
  const FakeAnswer answer = client.read_answer();
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.code(), "cancelled");
  EXPECT_EQ(answer.header("retry-after"), "1");
}

TEST_F(EventsTest, TheListHasPagesInOrder) {
  for (const char* id : {"c", "a", "b"}) {
    catalog.add(id);
    busy(id);
  }
  const auto ids = [](const boost::json::value& page) {
    std::string all;
    for (const auto& item : page.at("items").as_array()) all += std::string(item.at("pipeline_id").as_string());
    return all;
  };
  const auto first = get("/events?limit=2").json();
  EXPECT_EQ(ids(first), "ab");
  EXPECT_EQ(first.at("token").as_string(), "b");
  EXPECT_FALSE(first.at("items").at(0).as_object().contains("partitions")) << "a list is short";
  const auto second = get("/events?limit=2&token=b").json();
  EXPECT_EQ(ids(second), "c");
  EXPECT_FALSE(second.as_object().contains("token")) << "the last page has none";
  EXPECT_EQ(get("/events/?token=zz").body, R"({"items":[]})");
  for (const char* query :
       {"limit=0", "limit=501", "limit=-1", "limit=x", "limit=", "limit=1&limit=2", "state=running"})
    EXPECT_EQ(get(fmt::format("/events?{}", query)).code(), "invalid_argument") << query;
}

}  // namespace
}  // namespace dhub::api
