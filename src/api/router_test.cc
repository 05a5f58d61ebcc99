// SPDX-License-Identifier: Apache-2.0
#include "api/router.h"

#include <gtest/gtest.h>
#include <set>

#include "api/auth.h"
#include "api/query_reader.h"

namespace dhub::api {
namespace {

std::vector<std::string> segments_of(std::string_view target) {
  Request request;
  EXPECT_TRUE(parse_target(target, request)) << target;
  return request.segments;
}

const Route* find(Method method, std::string_view target) {
  const Router router(route_table());
  return router.find(method, segments_of(target)).route;
}

TEST(RouteTable, EachOperationIsThereOnceAndComplete) {
  std::set<std::string> seen;
  for (const auto& route : route_table()) {
    EXPECT_TRUE(seen.insert(std::string(to_string(route.method)) + " " + std::string(route.path)).second) << route.path;
    EXPECT_NE(route.handler, nullptr) << route.path;
    EXPECT_FALSE(route.summary.empty()) << route.path;
    EXPECT_TRUE(route.path[0] == '/' && route.path.back() != '/') << route.path;
  }
}

TEST(RouteTable, WhatChangesSomethingNeedsMoreThanAViewer) {
  for (const auto& route : route_table())
    EXPECT_GE(route.role, route.method == Method::Get ? Role::Public : Role::Operator) << route.path;
}

TEST(Router, FindsEveryOperationWithAndWithoutASlashAtTheEnd) {
  for (const auto& route : route_table()) {
    std::string path(route.path);
    for (auto at = path.find('{'); at != std::string::npos; at = path.find('{'))
      path.replace(at, path.find('}') - at + 1, "1");
    EXPECT_EQ(find(route.method, path), &route) << path;
    EXPECT_EQ(find(route.method, path + "/"), &route) << path;
  }
}

TEST(Router, AParameterIsNeverEmptyAndNeverTwoSegments) {
  const Router router(route_table());
  EXPECT_FALSE(router.find(Method::Get, segments_of("/api/v1/pipelines//versions")).path_known);
  EXPECT_FALSE(router.find(Method::Get, segments_of("/api/v1/pipelines//")).path_known);
  EXPECT_FALSE(router.find(Method::Get, segments_of("/api/v1/pipelines/a/b/c")).path_known);
  EXPECT_FALSE(router.find(Method::Get, segments_of("/")).path_known);
  EXPECT_FALSE(router.find(Method::Get, segments_of("//api/v1/pipelines")).path_known);
  EXPECT_NE(find(Method::Get, "/api/v1/pipelines/a%2Fb"), nullptr);
}

TEST(Router, KnowsTheMethodsOfAPath) {
  const Router router(route_table());
  const Match match = router.find(Method::Other, segments_of("/api/v1/pipelines/p"));
  EXPECT_TRUE(match.path_known);
  EXPECT_EQ(match.route, nullptr);
  EXPECT_EQ(match.allow, "GET, HEAD, PUT, DELETE");
  EXPECT_FALSE(match.anybody);
}

TEST(Router, HeadIsServedAsGet) {
  EXPECT_EQ(find(Method::Head, "/api/v1/pipelines"), find(Method::Get, "/api/v1/pipelines"));
}

TEST(Router, ServiceEndpointsAnswerBelowTheBasePathToo) {
  EXPECT_EQ(find(Method::Get, "/api/v1/healthz"), find(Method::Get, "/healthz"));
  EXPECT_NE(find(Method::Get, "/healthz"), nullptr);
}

TEST(Authenticator, TakesTheTokenAndNothingElse) {
  const Authenticator authenticator("secret", "127.0.0.1");
  const auto role = [&](std::vector<NameValue> headers) {
    Request request;
    request.headers = std::move(headers);
    return authenticator.role_of(request);
  };
  EXPECT_EQ(role({{"authorization", "Bearer secret"}}), Role::Admin);
  EXPECT_EQ(role({{"authorization", "bearer  secret"}}), Role::Admin);
  for (const char* value : {"", "Bearer", "Bearer ", "secret", "Basic secret", "Bearer secret2", "Bearer secre",
                            "Bearer SECRET", "Bearer secret x", "Bearersecret"}) {
    const auto got = role({{"authorization", value}});
    ASSERT_FALSE(got) << value;
    EXPECT_EQ(got.error().code, ErrorCode::Unauthenticated) << value;
  }
  EXPECT_EQ(role({}).error().code, ErrorCode::Unauthenticated);
  EXPECT_EQ(role({{"authorization", "Bearer secret"}, {"authorization", "Bearer secret"}}).error().code,
            ErrorCode::Malformed);
}

TEST(Authenticator, WithoutTokensOnlyThisMachineIsAHost) {
  const Authenticator off("", "192.168.1.2");
  for (const char* host : {"localhost", "LOCALHOST:8080", "127.0.0.1:1", "127.1.2.3", "[::1]:8080", "192.168.1.2:8080"})
    EXPECT_TRUE(off.is_own_host(host)) << host;
  for (const char* host : {"evil.example", "127.0.0.1.evil.example", "", "[::2]", "localhost.evil", "192.168.1.3"})
    EXPECT_FALSE(off.is_own_host(host)) << host;
  EXPECT_TRUE(Authenticator("token", "127.0.0.1").is_own_host("any.example"));
}

TEST(Authenticator, WithoutTokensForeignPagesMayNotCall) {
  const Authenticator off("", "127.0.0.1");
  const auto allowed = [&](Method method, std::vector<NameValue> headers) {
    Request request;
    request.method = method;
    request.headers = std::move(headers);
    return off.check_origin(request).has_value();
  };
  EXPECT_TRUE(allowed(Method::Post, {}));
  EXPECT_TRUE(allowed(Method::Post, {{"origin", "http://localhost:8080"}, {"sec-fetch-site", "same-origin"}}));
  EXPECT_FALSE(allowed(Method::Post, {{"origin", "http://evil.example"}}));
  EXPECT_FALSE(allowed(Method::Get, {{"origin", "http://evil.example"}}));
  EXPECT_FALSE(allowed(Method::Post, {{"origin", "null"}}));
  EXPECT_FALSE(allowed(Method::Post, {{"sec-fetch-site", "cross-site"}}));
}

class QueryTest : public testing::Test {
 protected:
  Request request(std::string_view query) {
    Request out;
    EXPECT_TRUE(parse_target("/x?" + std::string(query), out));
    out.route = &route_;
    return out;
  }
  static constexpr std::array<std::string_view, 4> kNames{"limit", "token", "wait", "deep"};
  Route route_{"x", Method::Get, "/x", Role::Public, Waits::No, nullptr, kNames, ""};
};

TEST_F(QueryTest, ReadsWhatIsRight) {
  const Request got = request("limit=7&token=12&wait=1m30s&deep=true");
  QueryReader query(got);
  EXPECT_EQ(query.limit(), 7u);
  EXPECT_EQ(query.number_token(), 12);
  EXPECT_EQ(query.duration("wait", std::chrono::minutes(2)), std::chrono::seconds(90));
  EXPECT_TRUE(query.flag("deep"));
  EXPECT_TRUE(query.status());
}

TEST_F(QueryTest, HasItsDefaults) {
  const Request got = request("");
  QueryReader query(got);
  EXPECT_EQ(query.limit(), 50u);
  EXPECT_EQ(query.number_token(), 0);
  EXPECT_FALSE(query.flag("deep"));
  EXPECT_TRUE(query.status());
}

TEST_F(QueryTest, NamesAllThatIsWrong) {
  const Request got = request("limit=501&limt=3&wait=1&wait=2s&deep=maybe&token=abc");
  QueryReader query(got);
  (void)query.limit();
  (void)query.duration("wait", std::chrono::minutes(1));
  (void)query.flag("deep");
  (void)query.number_token();
  const auto status = query.status();
  ASSERT_FALSE(status);
  std::multiset<std::string> names;
  for (const auto& field : status.error().fields) names.insert(field.pointer);
  EXPECT_EQ(names, (std::multiset<std::string>{"?deep", "?limit", "?limt", "?token", "?wait", "?wait"}));
}

TEST_F(QueryTest, LimitsAreOneToFiveHundred) {
  for (const char* text : {"0", "501", "-1", "", "1e3", "99999999999999999999", "1 "}) {
    const Request got = request("limit=" + std::string(text));
    QueryReader query(got);
    EXPECT_EQ(query.limit(), 50u) << text;
    EXPECT_FALSE(query.status()) << text;
  }
}

}  // namespace
}  // namespace dhub::api
