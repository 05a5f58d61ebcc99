// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <fmt/format.h>

#include "api/handlers.h"
#include "api/json.h"

namespace dhub::api {
namespace {

std::vector<Check> readiness_checks(const HandlerContext& context) {
  std::vector<Check> checks;
  if (context.services.readiness) checks = context.services.readiness();
  const bool draining = context.draining;
  checks.push_back({"accepting", !draining, draining ? "the server is stopping" : ""});
  return checks;
}

// `"checks":[...]`, as a member of whatever object it is put into.
std::string checks_member(const std::vector<Check>& checks) {
  JsonWriter out;
  out.key("checks").begin_list();
  for (const auto& check : checks)
    out.begin_object().field("name", check.name).field("ok", check.ok).field("message", check.message).end_object();
  return out.end_list().take();
}

}  // namespace

void get_alive(const HandlerContext&, const Request&, Reply reply) {
  reply(json_response(R"({"status":"ok"})"));
}

void get_ready(const HandlerContext& context, const Request& request, Reply reply) {
  const auto checks = readiness_checks(context);
  const bool verbose = std::any_of(request.query.begin(), request.query.end(),
                                   [](const NameValue& entry) { return entry.first == "verbose"; });
  std::string failing;
  for (const auto& check : checks)
    if (!check.ok) failing += fmt::format("{}{}: {}", failing.empty() ? "" : "; ", check.name, check.message);
  if (failing.empty()) {
    JsonWriter out;
    out.begin_object().field("ready", true);
    if (verbose) out.raw(checks_member(checks));
    return reply(json_response(out.end_object().take()));
  }
  Problem problem = make_problem(503, "not_ready", fmt::format("Not ready: {}.", failing));
  if (verbose) problem.more = checks_member(checks);
  reply(problem_response(std::move(problem)));
}

void get_version(const HandlerContext& context, const Request&, Reply reply) {
  reply(json_response(JsonWriter().begin_object().field("version", context.options.version).end_object().take()));
}

void get_metrics(const HandlerContext& context, const Request&, Reply reply) {
  Response response;
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  response.body = context.services.metrics.render();
  reply(std::move(response));
}

void get_docs(const HandlerContext& context, const Request&, Reply reply) {
  Response response;
  response.content_type = "text/html; charset=utf-8";
  response.headers.emplace_back("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'");
  response.body = context.description.docs;
  reply(std::move(response));
}

void get_openapi(const HandlerContext& context, const Request&, Reply reply) {
  reply(json_response(context.description.openapi));
}

}  // namespace dhub::api
