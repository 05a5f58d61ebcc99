// SPDX-License-Identifier: Apache-2.0
#include "api/admission.h"

#include <gmock/gmock.h>

#include "api/fake_client.h"
#include "api/route_table.h"

namespace dhub::api {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

constexpr const char* kJson = "application/json";

// Requests with many faults, of which the one that is checked first is told; each step of a ladder mends one.
class OrderOfChecks : public FakeWorld {
 protected:
  struct Rung {
    std::string method, target, body;
    Headers headers;
    int status;
    const char* code;  // of the problem; empty: it is none
  };
  void climb(const std::vector<Rung>& ladder) {
    for (const Rung& rung : ladder) {
      const FakeAnswer answer = call(rung.method, rung.target, rung.body, rung.headers);
      EXPECT_EQ(answer.status, rung.status) << rung.method << " " << rung.target << " " << answer.body;
      if (answer.status >= 400) {
        EXPECT_EQ(answer.code(), rung.code) << rung.target;
      }
    }
  }
};

TEST_F(OrderOfChecks, StartOfATrigger) {
  catalog.add("plain", "{}");
  catalog.add("orders");
  triggers.error = Error{ErrorCode::Conflict, "It is busy.", {}};
  const Headers text{{"Content-Type", "text/plain"}};
  const Headers json{{"Content-Type", kJson}};
  const std::string to = "/api/v1/events/";
  climb({{"POST", to + "nobody/nowhere", "{", nobody(), 401, "unauthenticated"},
         {"POST", to + "nobody/nowhere", "{", text, 404, "not_found"},
         {"PATCH", to + "nobody?a=b", "{", text, 405, "method_not_allowed"},
         {"POST", to + "nobody?a=b", "{", text, 404, "not_found"},
         {"POST", to + "orders?pipeline_version=2&a=b", "{", text, 404, "not_found"},
         {"POST", to + "plain?a=b", "{", text, 500, "event_option_missing"},
         {"POST", to + "orders?a=b", "{", text, 415, "unsupported_media_type"},
         {"POST", to + "orders?a=b", "{", json, 400, "malformed"},
         {"POST", to + "orders?a=b", "[]", json, 422, "invalid_argument"},
         {"POST", to + "orders?a=b", "{}", json, 422, "invalid_argument"}});
  EXPECT_THAT(triggers.calls, IsEmpty()) << "nothing reached the triggers";
  climb({{"POST", to + "orders", "{}", json, 409, "conflict"}});
  triggers.error.reset();
  climb({{"POST", to + "orders", "{}", json, 200, ""}});
}

TEST_F(OrderOfChecks, ChangeOfAPipeline) {
  catalog.add("orders");
  const Headers text{{"Content-Type", "text/plain"}, {"If-Match", "3"}};
  const Headers json{{"Content-Type", kJson}, {"If-Match", "3"}};
  const Headers other{{"If-Match", "\"3\""}};
  const std::string path = "/api/v1/pipelines/orders";
  climb({{"PUT", path + "?a=b", "{", nobody(), 401, "unauthenticated"},
         {"PATCH", path + "?a=b", "{", text, 405, "method_not_allowed"},
         {"PUT", path + "x?a=b", "{", text, 404, "not_found"},
         {"PUT", path + "?a=b", "{", text, 415, "unsupported_media_type"},
         {"PUT", path + "?a=b", "{", json, 400, "malformed"},
         {"PUT", path + "?a=b", R"({"name":1})", json, 422, "invalid_argument"},
         {"PUT", path, R"({"name":1})", json, 422, "invalid_argument"},
         {"PUT", path, R"({"name":"New"})", json, 400, "malformed"},
         {"PUT", path, R"({"name":"New"})", other, 412, "precondition_failed"}});
  EXPECT_EQ(catalog.stored.at("orders").size(), 1U);
  climb({{"PUT", path, R"({"name":"New"})", {}, 200, ""}});
  EXPECT_EQ(catalog.stored.at("orders").back().name, "New");
}

TEST_F(OrderOfChecks, CreationOfAPipeline) {
  catalog.add("orders");
  const Headers text{{"Content-Type", "text/plain"}};
  const std::string path = "/api/v1/pipelines";
  climb({{"POST", path + "?a=b", "{", text, 415, "unsupported_media_type"},
         {"POST", path + "?a=b", "{", {}, 400, "malformed"},
         {"POST", path + "?a=b", R"({"id":"orders"})", {}, 422, "invalid_argument"},
         {"POST", path, R"({"id":"orders"})", {}, 422, "invalid_argument"},
         {"POST", path, R"({"id":"orders","name":"n","options":{"event":7}})", {}, 422, "invalid_argument"},
         {"POST", path, R"({"id":"orders","name":"n"})", {}, 409, "already_exists"}});
  EXPECT_EQ(catalog.stored.size(), 1U);
}

TEST_F(OrderOfChecks, DeletionOfAPipeline) {
  catalog.add("orders");
  catalog.delete_error = Error{ErrorCode::Conflict, "Its trigger runs.", {}};
  const std::string path = "/api/v1/pipelines/orders";
  climb({{"DELETE", path + "?a=b", R"({"a":1})", nobody(), 401, "unauthenticated"},
         {"DELETE", path + "x?a=b", R"({"a":1})", {}, 404, "not_found"},
         {"DELETE", path + "?a=b", R"({"a":1})", {{"Content-Type", "text/plain"}}, 415, "unsupported_media_type"},
         {"DELETE", path + "?a=b", R"({"a":1})", {{"If-Match", "3"}}, 422, "invalid_argument"},
         {"DELETE", path + "?a=b", "", {{"If-Match", "3"}}, 422, "invalid_argument"},
         {"DELETE", path, "", {{"If-Match", "3"}}, 400, "malformed"},
         {"DELETE", path, "", {{"If-Match", "\"3\""}}, 409, "conflict"}});
  EXPECT_EQ(catalog.stored.size(), 1U);
}

TEST_F(OrderOfChecks, SizeAndFramingComeBeforeWhoAsks) {
  options.limits.body = 8;
  options.limits.uri = 64;
  climb({{"POST", "/nowhere", "123456789", nobody(), 413, "too_large"},
         {"POST", "/" + std::string(80, 'a'), "", nobody(), 414, "uri_too_long"},
         {"GET", "/%zz", "", nobody(), 400, "malformed"},
         {"GET", "/nowhere", "", {{"Authorization", ""}, {"Expect", "tea"}}, 417, "expectation_failed"},
         {"GET", "/nowhere", "", nobody(), 401, "unauthenticated"}});
}

class AdmissionTest : public FakeWorld {
 protected:
  static std::string example_of(const Route& route) {
    std::string path(route.path);
    for (auto at = path.find('{'); at != std::string::npos; at = path.find('{'))
      path.replace(at, path.find('}') - at + 1, "1");
    return path;
  }
};

TEST_F(AdmissionTest, EveryOperationThatIsNotPublicWantsAToken) {
  for (const Route& route : route_table()) {
    const bool open = route.role == Role::Public || route.role == Role::Metrics;
    const FakeAnswer answer = call(to_string(route.method), example_of(route), "", nobody());
    EXPECT_EQ(answer.status, open ? 200 : 401) << route.path << answer.body;
    if (!open) {
      EXPECT_EQ(answer.header("www-authenticate"), "Bearer") << route.path;
    }
  }
  EXPECT_THAT(catalog.asked, IsEmpty());
  EXPECT_THAT(triggers.calls, IsEmpty());
  EXPECT_THAT(log.stored, IsEmpty());
}

TEST_F(AdmissionTest, EveryPathNamesItsMethodsWhenAnotherIsUsed) {
  for (const Route& route : route_table()) {
    const FakeAnswer answer = call("PATCH", example_of(route));
    EXPECT_EQ(answer.status, 405) << route.path;
    EXPECT_EQ(answer.code(), "method_not_allowed");
    EXPECT_THAT(answer.header("allow"), HasSubstr(to_string(route.method))) << route.path;
  }
}

TEST_F(AdmissionTest, NoOperationTakesAParameterThatItDoesNotKnow) {
  catalog.add("1");
  catalog.start("1");
  log.add("1", {2, std::chrono::hours(1), 0});
  journal.letters.emplace_back().number = 1;
  for (const Route& route : route_table()) {
    // These two have no refusals of their own, so that whoever watches the server gets an answer whatever it sends.
    const bool service = !route.path.starts_with("/api/");
    const bool absent = route.path.ends_with("{run_id}");
    const bool body = route.method == Method::Put || route.path == "/api/v1/pipelines";
    const FakeAnswer answer = call(to_string(route.method), example_of(route) + "?surprise=1",
                                   body && route.method != Method::Get ? "{}" : "");
    EXPECT_EQ(answer.status, service ? 200 : absent ? 404 : 422) << route.path << answer.body;
    if (answer.status == 422) {
      EXPECT_EQ(answer.pointers(), "?surprise") << route.path;
    }
  }
  EXPECT_THAT(triggers.calls, IsEmpty());
  EXPECT_THAT(log.published, IsEmpty());
}

TEST_F(AdmissionTest, AWrongTokenIsToldApartFromNone) {
  for (const char* value : {"Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "dhub_secret", "Token dhub_secret"}) {
    const FakeAnswer answer = call("GET", "/api/v1/pipelines", "", {{"Authorization", value}});
    EXPECT_EQ(answer.status, 401) << value;
    EXPECT_EQ(answer.header("www-authenticate"), "Bearer") << value;
  }
  for (const char* value : {"Bearer dhub_secre", "Bearer dhub_secrets", "Bearer DHUB_SECRET", "Bearer dhub_secret x"}) {
    const FakeAnswer answer = call("GET", "/api/v1/pipelines", "", {{"Authorization", value}});
    EXPECT_EQ(answer.code(), "unauthenticated") << value;
    EXPECT_EQ(answer.header("www-authenticate"), "Bearer error=\"invalid_token\"") << value;
    EXPECT_EQ(answer.body.find("dhub_secret"), std::string::npos) << answer.body;
  }
  EXPECT_EQ(call("GET", "/api/v1/pipelines", "", {{"Authorization", "bearer   dhub_secret"}}).status, 200);
  EXPECT_THAT(logged(), testing::Not(HasSubstr("dhub_secre")));
}

TEST_F(AdmissionTest, TwoTokensAreNone) {
  const FakeAnswer answer = send(request_text("GET", "/api/v1/pipelines", "", {{"authorization", "Bearer other"}}));
  EXPECT_EQ(answer.status, 400) << answer.body;
  EXPECT_EQ(answer.code(), "malformed");
}

TEST_F(AdmissionTest, WhatIsForEverybodyAsksNobody) {
  for (const char* path : {"/healthz", "/livez", "/readyz", "/metrics", "/api/v1/healthz", "/healthz/"}) {
    EXPECT_EQ(call("GET", path, "", nobody()).status, 200) << path;
    EXPECT_EQ(call("GET", path, "", {{"Authorization", "Bearer wrong"}}).status, 200) << path;
  }
  EXPECT_EQ(call("DELETE", "/healthz", "", nobody()).status, 405) << "which methods there are is no secret there";
  EXPECT_EQ(call("GET", "/healthz/x", "", nobody()).status, 401);
}

TEST_F(AdmissionTest, MetricsAreClosedBySwitch) {
  options.metrics_public = false;
  EXPECT_EQ(call("GET", "/metrics", "", nobody()).status, 401);
  EXPECT_EQ(call("GET", "/metrics").status, 200);
  EXPECT_EQ(call("GET", "/healthz", "", nobody()).status, 200);
}

TEST_F(AdmissionTest, WithoutATokenOnlyThisMachineIsAnswered) {
  options.admin_token.clear();
  const auto ask = [&](std::string_view host, const std::string& more, std::string_view target = "/api/v1/pipelines") {
    return send(fmt::format("POST {} HTTP/1.1\r\nHost: {}\r\n{}Content-Length: 2\r\n\r\n{{}}", target, host, more));
  };
  EXPECT_EQ(ask("evil.example", "").code(), "unknown_host");
  EXPECT_EQ(ask("evil.example", "", "/healthz").status, 421) << "before anything else";
  EXPECT_EQ(ask("localhost", "Origin: http://evil.example\r\n").code(), "permission_denied");
  EXPECT_EQ(ask("localhost", "Origin: http://evil.example\r\n", "/nowhere").status, 403) << "before the path is known";
  EXPECT_EQ(ask("localhost", "Sec-Fetch-Site: cross-site\r\n").status, 403);
  EXPECT_EQ(ask("localhost", "Origin: http://127.0.0.1:8080\r\n").status, 422) << "the handler's own";
  EXPECT_THAT(catalog.stored, IsEmpty());
}

TEST_F(AdmissionTest, APathOfNothingIsNotFoundAndShownAsItWasAsked) {
  for (const char* path : {"/", "/api", "/api/v1", "/api/v2/pipelines", "/api/v1/pipeline", "//api/v1/pipelines",
                           "/api/v1/pipelines/a/versions/1", "/api/v1/events//status", "/API/v1/pipelines"}) {
    const FakeAnswer answer = call("GET", path);
    EXPECT_EQ(answer.status, 404) << path;
    EXPECT_EQ(answer.code(), "not_found");
    EXPECT_EQ(answer.json().at("instance").as_string(), path);
  }
}

TEST_F(AdmissionTest, IdsThatCannotBeNeverReachThePorts) {
  const std::vector<std::string> ids{"..",           "%2e%2e%2f%2e%2e",
                                     "a%2Fb",        "A",
                                     "-a",           "a-",
                                     "a_b",          "%00",
                                     "a%0d%0ab",     "%ff%fe",
                                     "'%20or%201=1", std::string(64, 'a'),
                                     "test",         "validate",
                                     "a%20",         std::string(4000, 'x')};
  for (const std::string& id : ids) {
    for (const std::string& path :
         {"/events/" + id, "/events/" + id + "/status", "/events/" + id + "/runs", "/events/" + id + "/runs/0-0-0",
          "/events/" + id + "/messages/0/0", "/events/" + id + "/dead-letters", "/events/" + id + "/dead-letters/1",
          "/pipelines/" + id, "/pipelines/" + id + "/versions"}) {
      const FakeAnswer answer = get(path);
      EXPECT_EQ(answer.status, 404) << path;
      EXPECT_EQ(answer.code(), "not_found");
      EXPECT_LT(answer.json().at("detail").as_string().size(), 300U);
    }
    for (const char* rest : {"", "/pause", "/resume"}) EXPECT_EQ(post("/events/" + id + rest).status, 404) << id;
    EXPECT_EQ(remove("/events/" + id).status, 404) << id;
    EXPECT_EQ(put("/pipelines/" + id, "{}").status, 404) << id;
    EXPECT_EQ(remove("/pipelines/" + id).status, 404) << id;
  }
  EXPECT_THAT(catalog.asked, IsEmpty());
  EXPECT_THAT(triggers.calls, IsEmpty());
}

TEST_F(AdmissionTest, ARefusalIsFoundInTheLogByItsTraceId) {
  const FakeAnswer answer = call("GET", "/nowhere");
  const auto trace = std::string(answer.json().at("trace_id").as_string());
  EXPECT_EQ(trace.size(), 32U);
  EXPECT_THAT(logged(), HasSubstr("trace_id=" + trace));
  EXPECT_THAT(std::string(answer.json().at("type").as_string()), StartsWith("urn:dhub:problem:not_found"));
}

}  // namespace
}  // namespace dhub::api
