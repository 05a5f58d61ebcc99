// SPDX-License-Identifier: Apache-2.0
#include "api/openapi.h"

#include <gtest/gtest.h>
#include <set>

#include "api/fake_client.h"
#include "api/fake_openapi_client.h"

namespace dhub::api {
namespace {

using Names = std::set<std::string>;

template <typename F>
void for_each_value(const Value& value, const F& function) {
  function(value);
  if (const auto* object = value.if_object()) {
    for (const auto& [name, member] : *object) for_each_value(member, function);
  } else if (const auto* list = value.if_array()) {
    for (const auto& item : *list) for_each_value(item, function);
  }
}

struct Operation {
  const Route& route;
  const boost::json::object& described;

  [[nodiscard]] Names parameters(std::string_view in) const {
    Names names;
    const auto* all = described.if_contains("parameters");
    if (all == nullptr) return names;
    for (const auto& one : all->as_array())
      if (followed(one).at("in").as_string() == in) names.insert(text(followed(one).at("name")));
    return names;
  }
};

std::vector<Operation> operations() {
  std::vector<Operation> all;
  for (const Route& route : route_table()) {
    std::string method = to_string(route.method);
    for (char& c : method) c = static_cast<char>(std::tolower(c));
    all.push_back({route, document().at("paths").at(route.path).at(method).as_object()});
  }
  return all;
}

TEST(OpenApi, DescribesTheRoutesAndNothingElse) {
  Names described;
  for (const auto& [path, methods] : document().at("paths").as_object())
    for (const auto& [method, operation] : methods.as_object())
      described.insert(
          fmt::format("{} {} {}", std::string_view(method), std::string_view(path), text(operation.at("operationId"))));
  Names served;
  for (const Route& route : route_table()) {
    std::string method = to_string(route.method);
    for (char& c : method) c = static_cast<char>(std::tolower(c));
    served.insert(fmt::format("{} {} {}", method, route.path, route.id));
  }
  EXPECT_EQ(described, served);
  EXPECT_EQ(served.size(), route_table().size()) << "an id stands there twice";
}

TEST(OpenApi, EveryOperationIsWrittenAbout) {
  Names written;
  for (const OpenapiPart& part : openapi_parts()) {
    if (part.name != "operations.json") continue;
    const Value operations_json = parsed(std::string(part.content));
    for (const auto& [id, texts] : operations_json.as_object()) written.insert(id);
  }
  Names served;
  for (const Route& route : route_table()) served.insert(std::string(route.id));
  EXPECT_EQ(written, served);
}

TEST(OpenApi, ARouteMoreIsSeenInTheDocument) {
  const Route more{"brew", Method::Put, "/pots/{pot}", Role::Admin, Waits::No, nullptr, {}, "Brew"};
  const Value made = parsed(openapi_document({&more, 1}, "1"));
  const auto& operation = made.at("paths").at("/pots/{pot}").at("put");
  EXPECT_EQ(operation.at("parameters").at(0).at("$ref").as_string(), "#/components/parameters/pot");
  EXPECT_EQ(resolved("#/components/parameters/pot"), nullptr) << "which the test of references finds";
}

TEST(OpenApi, EveryOperationHasWhatAReaderNeeds) {
  Names tags;
  for (const auto& tag : document().at("tags").as_array()) tags.insert(text(tag.at("name")));
  for (const auto& [route, described] : operations()) {
    EXPECT_EQ(text(described.at("summary")), route.summary);
    ASSERT_EQ(described.at("tags").as_array().size(), 1U) << route.id;
    EXPECT_EQ(tags.count(text(described.at("tags").at(0))), 1U) << route.id;
    Names good;
    for (const auto& [status, response] : described.at("responses").as_object())
      if (status.front() == '2') good.insert(status);
    EXPECT_FALSE(good.empty()) << route.id;
    EXPECT_TRUE(described.at("responses").as_object().contains("default")) << route.id;
    EXPECT_EQ(described.contains("requestBody"),
              route.method == Method::Put || route.id == "create_pipeline" || route.id == "publish_messages")
        << route.id;
  }
}

TEST(OpenApi, ParametersAreThoseOfTheRoute) {
  for (const Operation& operation : operations()) {
    const Route& route = operation.route;
    Names in_path;
    for (auto at = route.path.find('{'); at != route.path.npos; at = route.path.find('{', at + 1))
      in_path.emplace(route.path.substr(at + 1, route.path.find('}', at) - at - 1));
    EXPECT_EQ(operation.parameters("path"), in_path) << route.id;
    EXPECT_EQ(operation.parameters("query"), Names(route.query.begin(), route.query.end())) << route.id;
  }
  for (const auto& [key, parameter] : document().at("components").at("parameters").as_object()) {
    for (const char* name : {"name", "in", "description", "schema"})
      EXPECT_TRUE(parameter.as_object().contains(name)) << key << " " << name;
    EXPECT_EQ(parameter.at("in").as_string() == "path", parameter.as_object().contains("required")) << key;
  }
}

TEST(OpenApi, WhoMayIsTold) {
  const std::map<Role, std::string> names{
      {Role::Viewer, "viewer"}, {Role::Operator, "operator"}, {Role::Admin, "admin"}};
  EXPECT_EQ(boost::json::serialize(document().at("security")), R"([{"token":[]}])") << "unless an operation says so";
  for (const auto& [route, described] : operations()) {
    const auto* security = described.if_contains("security");
    if (route.role == Role::Public || route.role == Role::Metrics) {
      ASSERT_NE(security, nullptr) << route.id;
      EXPECT_EQ(boost::json::serialize(*security), route.role == Role::Public ? "[]" : R"([{},{"token":[]}])");
    } else {
      EXPECT_EQ(security, nullptr) << route.id;
      EXPECT_EQ(text(described.at("x-role")), names.at(route.role)) << route.id;
      EXPECT_TRUE(described.at("responses").as_object().contains("401")) << route.id;
    }
  }
}

TEST(OpenApi, EveryReferenceLeadsSomewhereAndEveryComponentIsUsed) {
  Names used;
  for_each_value(document(), [&](const Value& value) {
    const auto* object = value.if_object();
    const auto* reference = object == nullptr ? nullptr : object->if_contains("$ref");
    if (reference == nullptr || !reference->is_string()) return;
    used.insert(text(*reference));
    EXPECT_NE(resolved(text(*reference)), nullptr) << *reference;
  });
  for (const auto& [kind, all] : document().at("components").as_object()) {
    if (kind == "securitySchemes") continue;
    for (const auto& [name, component] : all.as_object())
      EXPECT_EQ(used.count(fmt::format("#/components/{}/{}", std::string_view(kind), std::string_view(name))), 1U)
          << kind << "/" << name;
  }
}

TEST(OpenApi, TheDeclaredCodesAreThoseOfTheServer) {
  Names declared;
  for (const auto& code :
       document().at("components").at("schemas").at("Problem").at("properties").at("code").at("enum").as_array())
    declared.insert(text(code));
  for (int i = 0; i <= static_cast<int>(ErrorCode::Internal); ++i) {
    const Problem problem = problem_of({static_cast<ErrorCode>(i), "", {}});
    EXPECT_EQ(declared.count(problem.code), 1U) << problem.code;
  }
  for (const auto& [name, response] : document().at("components").at("responses").as_object()) {
    const auto* content = response.at("content").as_object().if_contains("application/problem+json");
    if (content != nullptr) {
      EXPECT_EQ(declared.count(text(content->at("example").at("code"))), 1U) << name;
    }
  }
}

class OpenApiServed : public FakeWorld {};

TEST_F(OpenApiServed, ToEverybody) {
  const FakeAnswer answer = call("GET", "/openapi.json", "", nobody());
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(answer.header("content-type"), "application/json");
  EXPECT_EQ(answer.json().at("openapi").as_string(), "3.1.0");
  EXPECT_EQ(answer.json().at("info").at("version").as_string(), "1.2.3");
  EXPECT_EQ(answer.json(), document());
  EXPECT_EQ(call("GET", "/api/v1/openapi.json", "", nobody()).status, 200);
}

}  // namespace
}  // namespace dhub::api
