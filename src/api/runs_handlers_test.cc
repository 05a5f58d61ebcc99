// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include "api/fake_client.h"

namespace dhub::api {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class RunsTest : public FakeWorld {
 protected:
  RunsTest() {
    catalog.add("orders");
    catalog.add("idle");
    catalog.start("orders");
  }
  AttemptDetail& attempt(std::int64_t offset, std::int32_t number = 1, OutcomeKind kind = OutcomeKind::Failed) {
    AttemptDetail detail;
    detail.position = PositionUid{7};
    detail.run = {Pass{1}, PartitionId{0}, Offset{offset}};
    detail.attempt = number;
    detail.delivery = DeliveryId{99};
    detail.kind = kind;
    detail.version = Version{3};
    detail.instance = InstanceId{5};
    detail.started_at = WallTime{1'700'000'000'007};
    detail.duration_us = 1'005;
    detail.step = "price";
    detail.error = "ValueError: 0";
    detail.trace = "line 3";
    detail.log = "priced\n";
    detail.key = "k";
    const auto sequence = static_cast<std::int64_t>(archive.stored.size()) + 1;
    return archive.stored.insert(archive.stored.begin(), {sequence, detail})->detail;
  }
};

constexpr const char* kShort =
    R"("run_id":"1-0-41","attempt":1,"state":"failed","partition":0,"offset":41,"key":"k","version":"3",)"
    R"("instance":"5","delivery":"99","started_at":"2023-11-14T22:13:20.007Z","duration_ms":1.005,"step":"price",)"
    R"("error":"ValueError: 0")";

TEST_F(RunsTest, TheListIsShort) {
  attempt(41);
  EXPECT_EQ(get("/events/orders/runs").body, fmt::format(R"({{"items":[{{{}}}]}})", kShort));
}

TEST_F(RunsTest, ASuccessLeavesOutWhatItHasNot) {
  AttemptDetail& success = attempt(1, 1, OutcomeKind::Succeeded);
  success.step = success.error = success.key = "";
  const auto item = get("/events/orders/runs").json().at("items").at(0).as_object();
  EXPECT_EQ(item.at("state").as_string(), "succeeded");
  for (const char* name : {"step", "error", "key", "trace", "log"}) EXPECT_FALSE(item.contains(name)) << name;
}

TEST_F(RunsTest, FiltersAreHandedOn) {
  EXPECT_EQ(
      get("/events/orders/runs?state=timed_out&key=a%20b&partition=2&offset=9&error=Value+Error&token=77&limit=10")
          .status,
      200);
  EXPECT_EQ(archive.asked.kind, OutcomeKind::TimedOut);
  EXPECT_EQ(archive.asked.key, "a b");
  EXPECT_EQ(archive.asked.partition, PartitionId{2});
  EXPECT_EQ(archive.asked.offset, Offset{9});
  EXPECT_EQ(archive.asked.error_text, "Value Error");
  EXPECT_EQ(archive.asked.before, 77);
  EXPECT_EQ(archive.asked.limit, 11U) << "one more tells whether there is another page";
  EXPECT_EQ(get("/events/orders/runs?key=").status, 200);
  EXPECT_EQ(archive.asked.key, "") << "no key at all, and not any";
  EXPECT_FALSE(archive.asked.kind);
}

TEST_F(RunsTest, EveryStateMayBeAskedFor) {
  for (const auto kind : {OutcomeKind::Succeeded, OutcomeKind::Filtered, OutcomeKind::Failed, OutcomeKind::Rejected,
                          OutcomeKind::Crashed, OutcomeKind::TimedOut, OutcomeKind::OutOfMemory}) {
    EXPECT_EQ(get(fmt::format("/events/orders/runs?state={}", to_string(kind))).status, 200);
    EXPECT_EQ(archive.asked.kind, kind);
  }
}

TEST_F(RunsTest, AFilterThatCannotBeIsNamed) {
  for (const auto& [query, pointers] :
       std::map<std::string, std::string>{{"state=running", "?state"},
                                          {"state=not_started", "?state"},
                                          {"state=", "?state"},
                                          {"partition=-1", "?partition"},
                                          {"partition=2147483648", "?partition"},
                                          {"offset=9223372036854775808", "?offset"},
                                          {"offset=%2B1", "?offset"},
                                          {"token=0", "?token"},
                                          {"limit=0", "?limit"},
                                          {"since=1h", "?since"},
                                          {"state=failed&state=failed", "?state"},
                                          {"state=x&partition=y&offset=z", "?state ?partition ?offset"}}) {
    const FakeAnswer answer = get("/events/orders/runs?" + query);
    EXPECT_EQ(answer.status, 422) << query << answer.body;
    EXPECT_EQ(answer.pointers(), pointers) << query;
    EXPECT_EQ(get("/events/idle/runs?" + query).status, 422) << "also when there is nothing to list";
  }
}

TEST_F(RunsTest, PagesGoFromTheNewest) {
  for (int offset = 1; offset <= 3; ++offset) attempt(offset);
  const auto first = get("/events/orders/runs?limit=2").json();
  EXPECT_EQ(first.at("items").at(0).at("offset").as_int64(), 3);
  EXPECT_EQ(first.at("token").as_string(), "2");
  const auto second = get("/events/orders/runs?limit=2&token=2").json();
  ASSERT_EQ(second.at("items").as_array().size(), 1U);
  EXPECT_EQ(second.at("items").at(0).at("offset").as_int64(), 1);
  EXPECT_FALSE(second.as_object().contains("token"));
}

TEST_F(RunsTest, WhatWasNeverStartedHasNoRuns) {
  EXPECT_EQ(get("/events/idle/runs").body, R"({"items":[]})");
  for (const char* path : {"/events/idle/runs/1-0-41", "/events/idle/messages/0/41"}) {
    const FakeAnswer answer = get(path);
    EXPECT_EQ(answer.status, 404) << path;
    EXPECT_THAT(answer.body, HasSubstr("was never started")) << path;
    EXPECT_THAT(answer.body, HasSubstr("POST /api/v1/events/idle")) << path;
  }
  EXPECT_THAT(triggers.calls, IsEmpty());
}

TEST_F(RunsTest, ARunIsShownWithItsAttemptsFromTheFirst) {
  attempt(41);
  attempt(42);
  attempt(41, 2, OutcomeKind::Succeeded);
  const FakeAnswer answer = get("/events/orders/runs/1-0-41");
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_THAT(answer.body, testing::StartsWith(fmt::format(
                               R"({{"run_id":"1-0-41","partition":0,"offset":41,"state":"succeeded","attempts":[{{{},)"
                               R"("trace":"line 3","log":"priced\n"}},)",
                               kShort)));
  const auto attempts = answer.json().at("attempts").as_array();
  ASSERT_EQ(attempts.size(), 2U);
  EXPECT_EQ(attempts[1].at("attempt").as_int64(), 2);
}

TEST_F(RunsTest, WhatIsNoRunIsNotFound) {
  attempt(41);
  for (const char* id : {"1-0-40", "2-0-41", "1-0", "1-0-41-1", "1--41", "-1-0-41", "x", "1-0-41%20", "1-0-41%00",
                         "99999999999-0-41", "1-0-99999999999999999999", "1-0-4%0a1"}) {
    const FakeAnswer answer = get(fmt::format("/events/orders/runs/{}", id));
    EXPECT_EQ(answer.status, 404) << id;
    EXPECT_EQ(answer.code(), "not_found");
  }
  EXPECT_EQ(get("/events/orders/runs/1-0-41?a=b").status, 422);
}

TEST_F(RunsTest, AMessagesStateHasWhatIsKnown) {
  triggers.message = {"retrying", Offset{40}, 3, WallTime{1'700'000'000'000}, "ValueError: 0"};
  EXPECT_EQ(get("/events/orders/messages/2/41").body,
            R"({"partition":2,"offset":41,"state":"retrying","blocked_by":40,"attempt":3,)"
            R"("next_attempt_at":"2023-11-14T22:13:20.000Z","last_error":"ValueError: 0"})");
  triggers.message = {"waiting", {}, {}, {}, ""};
  EXPECT_EQ(get("/events/orders/messages/0/0").body, R"({"partition":0,"offset":0,"state":"waiting"})");
  EXPECT_THAT(triggers.calls, ElementsAre("message_state orders 2 41", "message_state orders 0 0"));
}

TEST_F(RunsTest, AnOffsetThatCannotBeNeverReachesTheTriggers) {
  for (const char* where : {"-1/0", "0/-1", "x/0", "0/x", "0/1.5", "2147483648/0", "0/9223372036854775808", "%20/0",
                            "0/%2B1", "0/0x1", "0/1%00"}) {
    const FakeAnswer answer = get(fmt::format("/events/orders/messages/{}", where));
    EXPECT_EQ(answer.status, 404) << where;
    EXPECT_EQ(answer.code(), "not_found");
  }
  EXPECT_EQ(get("/events/orders/messages/0/0?wait=1s").status, 422);
  EXPECT_THAT(triggers.calls, IsEmpty());
}

TEST_F(RunsTest, WhatTheTriggersDoNotKnowIsNotFound) {
  triggers.error = Error{ErrorCode::NotFound, "There is no partition 9.", {}};
  const FakeAnswer answer = get("/events/orders/messages/9/0");
  EXPECT_EQ(answer.status, 404);
  EXPECT_EQ(answer.json().at("detail").as_string(), "There is no partition 9.");
}

}  // namespace
}  // namespace dhub::api
