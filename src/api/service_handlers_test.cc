// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include "api/fake_client.h"

namespace dhub::api {
namespace {

using testing::HasSubstr;

class ServiceEndpoints : public FakeWorld {};

TEST_F(ServiceEndpoints, AliveIsSaidWhateverIsWrong) {
  checks = {{"store", false, "the disk is gone"}};
  for (const char* path : {"/healthz", "/livez", "/api/v1/healthz", "/healthz?x=y"}) {
    const FakeAnswer answer = call("GET", path);
    EXPECT_EQ(answer.status, 200) << path;
    EXPECT_EQ(answer.body, R"({"status":"ok"})") << path;
  }
}

TEST_F(ServiceEndpoints, ReadyIsShortUnlessAskedForMore) {
  checks = {{"store", true, ""}};
  EXPECT_EQ(call("GET", "/readyz").body, R"({"ready":true})");
  EXPECT_EQ(call("GET", "/readyz?verbose").body, R"({"ready":true,"checks":[{"name":"store","ok":true,"message":""},)"
                                                 R"({"name":"accepting","ok":true,"message":""}]})");
}

TEST_F(ServiceEndpoints, WhatIsNotReadyIsNamed) {
  checks = {{"store", false, "the disk is full"}, {"loop", true, ""}, {"runner", false, "python3 is missing"}};
  const FakeAnswer answer = call("GET", "/readyz");
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.code(), "not_ready");
  EXPECT_EQ(answer.header("retry-after"), "1");
  EXPECT_EQ(answer.json().at("detail").as_string(), "Not ready: store: the disk is full; runner: python3 is missing.");
  EXPECT_FALSE(answer.json().as_object().contains("checks"));
  const FakeAnswer verbose = call("GET", "/readyz?verbose=true");
  EXPECT_EQ(verbose.code(), "not_ready");
  EXPECT_EQ(verbose.json().at("checks").as_array().size(), 4U);
}

TEST_F(ServiceEndpoints, AServerThatStopsIsNotReady) {
  ASSERT_EQ(call("GET", "/readyz").status, 200);
  server->drain();
  const FakeAnswer answer = call("GET", "/readyz");
  EXPECT_EQ(answer.status, 503);
  EXPECT_THAT(answer.body, HasSubstr("accepting: the server is stopping"));
}

TEST_F(ServiceEndpoints, TheVersionIsForThoseWithAToken) {
  EXPECT_EQ(call("GET", "/version").body, R"({"version":"1.2.3"})");
  EXPECT_EQ(call("GET", "/version", "", nobody()).status, 401);
}

TEST_F(ServiceEndpoints, MetricsCountWhatWasAnswered) {
  call("GET", "/healthz");
  FakeClient client(port());
  client.send(request_text("HEAD", "/healthz"));
  client.read_answer(true);
  get("/pipelines/nobody");
  call("GET", "/nowhere");
  call("BREW", "/healthz");
  const FakeAnswer answer = call("GET", "/metrics", "", nobody());
  EXPECT_EQ(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  for (const char* line :
       {R"(dhub_http_requests_total{method="GET",route="/healthz",status="200"} 1)",
        R"(dhub_http_requests_total{method="HEAD",route="/healthz",status="200"} 1)",
        R"(dhub_http_requests_total{method="GET",route="/api/v1/pipelines/{pipeline_id}",status="404"} 1)",
        R"(dhub_http_requests_total{method="GET",route="none",status="404"} 1)",
        R"(dhub_http_requests_total{method="other",route="none",status="405"} 1)",
        R"(dhub_http_request_seconds_count{method="GET",route="/healthz"} 1)"})
    EXPECT_NE(answer.body.find(line), std::string::npos) << line;
  EXPECT_EQ(answer.body.find("nobody"), std::string::npos) << "no label may hold what a client sends";
}

}  // namespace
}  // namespace dhub::api
