// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

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

}  // namespace
}  // namespace dhub::api
