// SPDX-License-Identifier: Apache-2.0
#include "cli/runs_verbs.h"

#include <fmt/format.h>
#include <utility>

namespace dhub::cli {
namespace {

namespace json = boost::json;

const std::vector<Column> kRunColumns = {{"RUN"},
                                         {"STATE"},
                                         {"ATTEMPT", Align::Right},
                                         {"STARTED", Align::Left, Fit::Cut},
                                         {"MS", Align::Right},
                                         {"KEY", Align::Left, Fit::Cut},
                                         {"ERROR", Align::Left, Fit::Cut}};

const std::vector<Column> kDeadLetterColumns = {{"NUMBER", Align::Right},        {"TOPIC", Align::Left, Fit::Cut},
                                                {"PARTITION", Align::Right},     {"OFFSET", Align::Right},
                                                {"ATTEMPTS", Align::Right},      {"CREATED", Align::Left, Fit::Cut},
                                                {"ERROR", Align::Left, Fit::Cut}};

Row run_row(const json::value& run) {
  return {cell(run, {"run_id"}),      cell(run, {"state"}), cell(run, {"attempt"}), cell(run, {"started_at"}),
          cell(run, {"duration_ms"}), cell(run, {"key"}),   cell(run, {"error"})};
}

Row dead_letter_row(const json::value& letter) {
  return {cell(letter, {"number"}),    cell(letter, {"topic"}),    cell(letter, {"partition"}),
          cell(letter, {"offset"}),    cell(letter, {"attempts"}), cell(letter, {"created_at"}),
          cell(letter, {"last_error"})};
}

VerbResult show(Session& session, const Call& call) {
  const auto reply = session.api.call(call);
  if (!reply) return tl::unexpected(reply.error());
  session.print_reply(*reply);
  return {};
}

}  // namespace

VerbResult runs_list(Session& session, const RunsOptions& options) {
  Call call{.path = {"events", options.pipeline, "runs"}, .next_on_not_found = "dhub pipelines list"};
  for (const auto& [name, value] : {std::pair{"state", options.state},
                                    {"key", options.key},
                                    {"error", options.error},
                                    {"partition", options.partition},
                                    {"offset", options.offset}})
    if (!value.empty()) call.query.emplace_back(name, value);
  const auto items = fetch_list(session, call, options.limit);
  if (!items) return tl::unexpected(items.error());
  print_list(session, kRunColumns, *items, run_row);
  return {};
}

VerbResult runs_get(Session& session, const std::string& pipeline, const std::string& run) {
  return show(session, {.path = {"events", pipeline, "runs", run},
                        .next_on_not_found = fmt::format("dhub runs list {}", pipeline)});
}

VerbResult dead_letters_list(Session& session, const std::string& pipeline, std::size_t limit) {
  const auto items = fetch_list(
      session, {.path = {"events", pipeline, "dead-letters"}, .next_on_not_found = "dhub pipelines list"}, limit);
  if (!items) return tl::unexpected(items.error());
  print_list(session, kDeadLetterColumns, *items, dead_letter_row);
  return {};
}

VerbResult dead_letters_get(Session& session, const std::string& pipeline, const std::string& number) {
  return show(session, {.path = {"events", pipeline, "dead-letters", number},
                        .next_on_not_found = fmt::format("dhub dead-letters list {}", pipeline)});
}

VerbResult messages_get(Session& session, const std::string& pipeline, const std::string& partition,
                        const std::string& offset) {
  return show(session, {.path = {"events", pipeline, "messages", partition, offset},
                        .next_on_not_found = fmt::format("dhub events status {}", pipeline)});
}

}  // namespace dhub::cli
