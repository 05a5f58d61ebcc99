// SPDX-License-Identifier: Apache-2.0
#include "api/server.h"

#include <gtest/gtest.h>
#include <list>

#include "api/fake_client.h"

namespace dhub::api {
namespace {

class ServerTest : public FakeWorld {
 protected:
  // Sent on connections of their own, and not answered before the event log is released.
  void ask_for_topics(int count) {
    for (int i = 0; i < count; ++i) {
      waiting_.emplace_back(port());
      waiting_.back().send(request_text("GET", "/api/v1/topics/orders"));
    }
  }
  std::list<FakeClient> waiting_;
};

TEST_F(ServerTest, CallsThatWaitForAClusterKeepNobodyElse) {
  log.add("orders");
  log.hold();
  ask_for_topics(6);
  log.wait_asked(4);
  EXPECT_EQ(get("/pipelines").status, 200);
  EXPECT_EQ(call("GET", "/healthz").status, 200);
  log.release();
  for (FakeClient& client : waiting_) EXPECT_EQ(client.read_answer().status, 200);
}

TEST_F(ServerTest, TooManyCallsThatWaitAreTurnedAwayAtOnce) {
  options.limits.blocking_calls = 4;
  log.add("orders");
  log.hold();
  ask_for_topics(4);
  log.wait_asked(4);
  const FakeAnswer refused = get("/topics/orders");
  EXPECT_EQ(refused.status, 503) << refused.body;
  EXPECT_EQ(refused.code(), "unavailable");
  EXPECT_NE(refused.header("retry-after"), "");
  log.release();
  for (FakeClient& client : waiting_) EXPECT_EQ(client.read_answer().status, 200);
}

TEST_F(ServerTest, AConnectionTooManyIsToldAndClosed) {
  options.limits.connections = 1;
  FakeClient first(port());
  first.send(request_text("GET", "/healthz"));
  EXPECT_EQ(first.read_answer().status, 200);
  FakeClient second(port());
  const FakeAnswer refused = second.read_answer();
  EXPECT_EQ(refused.status, 503);
  EXPECT_TRUE(second.is_closed());
}

TEST_F(ServerTest, WhileItDrainsOnlyReadinessChanges) {
  EXPECT_EQ(call("GET", "/readyz").status, 200);
  server->drain();
  EXPECT_EQ(call("GET", "/readyz").status, 503);
  EXPECT_EQ(call("GET", "/livez").status, 200);
  EXPECT_EQ(get("/pipelines").status, 200);
}

}  // namespace
}  // namespace dhub::api
