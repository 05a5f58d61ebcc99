// SPDX-License-Identifier: Apache-2.0
#include "api/openapi.h"

#include <boost/json.hpp>
#include <fmt/format.h>
#include <map>

#include "base/check.h"

namespace dhub::api {
namespace {

namespace json = boost::json;

json::object part(std::string_view name) {
  for (const OpenapiPart& one : openapi_parts()) {
    if (one.name != name) continue;
    json::error_code error;
    json::value value = json::parse({one.content.data(), one.content.size()}, error);
    CHECK(!error && value.is_object());
    return std::move(value.as_object());
  }
  return {};
}

json::object reference(std::string_view kind, std::string_view name) {
  return {{"$ref", fmt::format("#/components/{}/{}", kind, name)}};
}

json::object components() {
  json::object all;
  all["parameters"] = part("parameters.json");
  all["requestBodies"] = part("bodies.json");
  for (const auto& [kind, files] :
       std::map<std::string, std::vector<std::string>>{{"responses", {"responses.json", "problems.json"}},
                                                       {"schemas", {"schemas_events.json", "schemas_objects.json"}}}) {
    json::object merged;
    for (const auto& file : files)
      for (auto& [name, value] : part(file)) merged[name] = std::move(value);
    all[kind] = std::move(merged);
  }
  return all;
}

std::vector<std::string_view> path_parameters(std::string_view path) {
  std::vector<std::string_view> names;
  for (auto at = path.find('{'); at != path.npos; at = path.find('{', at + 1))
    names.push_back(path.substr(at + 1, path.find('}', at) - at - 1));
  return names;
}

// A name that means different things to different operations is described as `operation.name`.
json::array parameters_of(const Route& route, const json::object& texts, const json::object& described) {
  json::array all;
  const auto add = [&](std::string_view name) {
    const std::string own = fmt::format("{}.{}", route.id, name);
    all.push_back(reference("parameters", described.contains(own) ? std::string_view(own) : name));
  };
  for (const auto name : path_parameters(route.path)) add(name);
  for (const auto name : route.query) add(name);
  if (const auto* headers = texts.if_contains("headers"))
    for (const auto& name : headers->as_array()) add({name.as_string().data(), name.as_string().size()});
  return all;
}

// Beside what is written for the operation stands what the checks before it, which all have in common, refuse.
json::object responses_of(const Route& route, const json::object& texts) {
  std::map<std::string_view, std::string_view> common{{"default", "Problem"}};
  if (route.role != Role::Public) common["401"] = "Unauthenticated";
  if (route.role > Role::Viewer) common["403"] = "PermissionDenied";
  if (!path_parameters(route.path).empty()) common["404"] = "NotFound";
  if (route.path.starts_with("/api/")) common["422"] = "Invalid";
  if (route.method != Method::Get) {
    common["400"] = "Malformed";
    common["413"] = "TooLarge";
    common["415"] = "UnsupportedMediaType";
  }
  std::map<std::string, json::value> sorted;
  for (const auto& [status, name] : common) sorted[std::string(status)] = reference("responses", name);
  if (const auto* own = texts.if_contains("responses"))
    for (const auto& [status, response] : own->as_object()) sorted[std::string(status)] = response;
  json::object all;
  for (auto& [status, response] : sorted) all[status] = std::move(response);
  return all;
}

void secure(const Route& route, json::object& operation) {
  if (route.role == Role::Public) operation["security"] = json::array{};
  if (route.role == Role::Metrics) operation["security"] = {json::object{}, {{"token", json::array{}}}};
  if (route.role == Role::Viewer || route.role == Role::Metrics) operation["x-role"] = "viewer";
  if (route.role == Role::Operator) operation["x-role"] = "operator";
  if (route.role == Role::Admin) operation["x-role"] = "admin";
}

json::object operation_of(const Route& route, const json::object& texts, const json::object& described) {
  json::object operation{{"operationId", route.id}, {"summary", route.summary}};
  if (const auto* tag = texts.if_contains("tag")) operation["tags"] = json::array{*tag};
  if (const auto* text = texts.if_contains("description")) operation["description"] = *text;
  secure(route, operation);
  if (auto parameters = parameters_of(route, texts, described); !parameters.empty())
    operation["parameters"] = std::move(parameters);
  if (const auto* body = texts.if_contains("requestBody")) operation["requestBody"] = *body;
  operation["responses"] = responses_of(route, texts);
  return operation;
}

std::string lower_name(Method method) {
  std::string name = to_string(method);
  for (char& c : name) c = static_cast<char>(c - 'A' + 'a');
  return name;
}

}  // namespace

std::string openapi_document(std::span<const Route> routes, std::string_view version) {
  json::object document{{"openapi", "3.1.0"}};
  for (auto& [name, value] : part("head.json")) document[name] = std::move(value);
  document["info"].as_object()["version"] = json::string(version);
  json::object all = components();
  const json::object operations = part("operations.json");
  json::object paths;
  for (const Route& route : routes) {
    auto& methods = paths.emplace(route.path, json::object{}).first->value().as_object();
    const auto* texts = operations.if_contains(route.id);
    methods[lower_name(route.method)] =
        operation_of(route, texts == nullptr ? json::object{} : texts->as_object(), all["parameters"].as_object());
  }
  document["paths"] = std::move(paths);
  for (auto& [kind, value] : all) document["components"].as_object()[kind] = std::move(value);
  return json::serialize(document);
}

}  // namespace dhub::api
