// SPDX-License-Identifier: Apache-2.0
#include "cli/api_client.h"

#include <boost/json/parse.hpp>
#include <fmt/format.h>
#include <string_view>

namespace dhub::cli {
namespace {

namespace json = boost::json;

const json::parse_options kParseOptions = [] {
  json::parse_options options;
  options.max_depth = 600;  // above what the server lets into a message
  return options;
}();

std::string text_of(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains({key.data(), key.size()});
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

std::string url_of(const std::string& base, const Call& call) {
  std::string url = base + "/api/v1";
  for (const std::string& segment : call.path) url += '/' + percent_encode(segment);
  char separator = '?';
  for (const auto& [name, value] : call.query) {
    url += separator + percent_encode(name) + '=' + percent_encode(value);
    separator = '&';
  }
  return url;
}

bool is_json(const HttpReply& reply) {
  const auto type = reply.headers.find("content-type");
  return type != reply.headers.end() && type->second.find("json") != std::string::npos;
}

void take_fields(const json::object& problem, std::vector<FieldError>& fields) {
  const auto* errors = problem.if_contains("errors");
  if (errors == nullptr || !errors->is_array()) return;
  for (const json::value& error : errors->get_array())
    if (error.is_object())
      fields.push_back({text_of(error.get_object(), "pointer"), text_of(error.get_object(), "detail")});
}

std::string next_for(const Failure& failure, const Call& call) {
  if (failure.status == 401)
    return "name a token with --token-file, DHUB_TOKEN_FILE or DHUB_TOKEN; the server's own is admin-token in its "
           "data directory";
  if (failure.status == 404) return call.next_on_not_found;
  if (failure.status == 409) return call.next_on_conflict;
  if (failure.code == "event_option_missing" && call.path.size() > 1)
    return fmt::format(
        "dhub pipelines get {} > pipeline.yaml, add `options: {{event: TOPIC}}`, then dhub pipelines "
        "apply -f pipeline.yaml",
        call.path[1]);
  return {};
}

}  // namespace

ApiClient::ApiClient(Connection connection, Duration timeout) : connection_(std::move(connection)), timeout_(timeout) {}

Answer<ApiReply> ApiClient::call(const Call& call) {
  HttpRequest request{
      call.method, url_of(connection_.url, call), {"Accept: application/json"}, call.body, timeout_ + call.wait};
  // curl would call a body a web form if it were not told.
  request.headers.push_back(call.body ? "Content-Type: " + call.content_type : "Content-Type:");
  if (!call.body && call.method != "GET" && call.method != "DELETE") request.body = "";
  if (!connection_.token.empty()) request.headers.push_back("Authorization: Bearer " + connection_.token);
  auto reply = http_.send(request);
  if (!reply) return tl::unexpected(unreachable(reply.error()));
  if (reply->status < 200 || reply->status > 299) return tl::unexpected(refused(*reply, call));
  ApiReply answer{reply->status, std::move(reply->headers), nullptr, {}};
  if (reply->body.empty()) return answer;
  json::error_code ec;
  answer.text = std::move(reply->body);
  answer.body = json::parse(answer.text, ec, {}, kParseOptions);
  if (ec)
    return failed(ExitCode::Failed, "not a dhub server",
                  fmt::format("{} answered {} without JSON.", connection_.url, reply->status));
  return answer;
}

Failure ApiClient::unreachable(const HttpFailure& failure) const {
  const std::string where = fmt::format("{} (from {})", connection_.url, connection_.url_source);
  switch (failure.kind) {
    case HttpFailure::Kind::TimedOut:
      return {ExitCode::TimedOut,
              "timed out",
              fmt::format("{} did not answer: {}.", where, failure.detail),
              {},
              {},
              "the same with a longer --request-timeout",
              0};
    case HttpFailure::Kind::BadUrl:
      return {ExitCode::Usage, "not a server URL", fmt::format("{}: {}.", where, failure.detail), {}, {}, {}, 0};
    case HttpFailure::Kind::TooLarge:
      return {ExitCode::Failed,
              "reply too large",
              "The reply is larger than 64 MiB.",
              {},
              {},
              "the same with a smaller --limit",
              0};
    case HttpFailure::Kind::Unreachable:
      break;
  }
  return {ExitCode::Unreachable, "no answer", fmt::format("{}: {}.", where, failure.detail), {}, {}, "dhub serve", 0};
}

Failure ApiClient::refused(const HttpReply& reply, const Call& call) const {
  Failure failure;
  failure.exit = exit_code_of_status(reply.status);
  failure.status = reply.status;
  failure.title = fmt::format("HTTP {}", reply.status);
  json::error_code ec;
  const json::value problem = is_json(reply) ? json::parse(reply.body, ec) : json::value();
  if (!ec && problem.is_object()) {
    const json::object& object = problem.get_object();
    if (const std::string title = text_of(object, "title"); !title.empty()) failure.title = title;
    failure.detail = text_of(object, "detail");
    failure.code = text_of(object, "code");
    take_fields(object, failure.fields);
  } else {
    failure.detail =
        fmt::format("{} does not answer like a dhub server: {}", connection_.url, reply.body.substr(0, 200));
  }
  failure.next = next_for(failure, call);
  return failure;
}

}  // namespace dhub::cli
