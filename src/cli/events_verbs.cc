// SPDX-License-Identifier: Apache-2.0
#include "cli/events_verbs.h"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <ostream>
#include <poll.h>
#include <string>
#include <utility>

#include "cli/text.h"

namespace dhub::cli {
namespace {

namespace json = boost::json;

constexpr Duration kLongPoll = std::chrono::seconds(10);
constexpr Duration kLeastBetweenPolls = std::chrono::milliseconds(200);

const json::array& list_in(const json::value& status, std::string_view key) {
  static const json::array kNone;
  const auto* list = status.is_object() ? status.get_object().if_contains({key.data(), key.size()}) : nullptr;
  return list != nullptr && list->is_array() ? list->get_array() : kNone;
}

// What stands between this trigger and ready, a line each.
std::string not_ready_because(const json::value& status) {
  std::string out;
  for (const json::value& condition : list_in(status, "conditions")) {
    if (cell(condition, {"ok"}) == "yes") continue;
    out += fmt::format("{}{}: {}", out.empty() ? "" : "; ", cell(condition, {"type"}), cell(condition, {"reason"}));
    if (const std::string message = cell(condition, {"message"}); !message.empty()) out += " (" + message + ")";
  }
  return out.empty() ? "it did not say why" : out;
}

// Waits without a clock's help for a server that answers a long poll at once.
void pause_briefly(Duration how_long) {
  ::poll(nullptr, 0, static_cast<int>(std::chrono::duration_cast<milliseconds>(how_long).count()));
}

VerbResult wait_until_ready(Session& session, const std::string& id, Duration timeout) {
  const Instant deadline = read_clocks().mono + timeout;
  std::string seen;
  while (true) {
    const Instant asked = read_clocks().mono;
    const Duration wait = std::clamp(deadline - asked, Duration::zero(), kLongPoll);
    Call call{.path = {"events", id, "status"}, .wait = wait};
    if (!seen.empty()) call.query = {{"wait", to_string(std::chrono::floor<milliseconds>(wait))}, {"seen", seen}};
    const auto reply = session.api.call(call);
    if (!reply) return tl::unexpected(reply.error());
    if (cell(reply->body, {"ready"}) == "yes") return {};
    const Instant now = read_clocks().mono;
    if (now >= deadline)
      return failed(
          ExitCode::TimedOut, "not ready in time",
          fmt::format("after {} {} is not ready: {}.", to_string(timeout), id, not_ready_because(reply->body)),
          fmt::format("dhub events status {}", id));
    const bool answered_at_once = !seen.empty() && now - asked < std::min(kLeastBetweenPolls, wait);
    if (answered_at_once) pause_briefly(kLeastBetweenPolls);
    seen = cell(reply->body, {"etag"});
    if (seen.empty()) pause_briefly(kLeastBetweenPolls);
  }
}

VerbResult command(Session& session, Call call, const std::string& fallback) {
  call.next_on_not_found = "dhub pipelines list";
  const auto reply = session.api.call(call);
  if (!reply) return tl::unexpected(reply.error());
  if (session.machine_readable()) {
    session.print_reply(*reply);
    return {};
  }
  const std::string message = cell(reply->body, {"message"});
  session.console.out << printable(message.empty() ? fallback : message) << '\n';
  return {};
}

void print_partitions(const Session& session, const json::value& status) {
  std::vector<Row> rows;
  for (const json::value& p : list_in(status, "partitions"))
    rows.push_back({cell(p, {"partition"}), cell(p, {"cursor"}), cell(p, {"end"}), cell(p, {"lag"}),
                    cell(p, {"waiting"}), cell(p, {"in_flight"}), cell(p, {"retrying"}), cell(p, {"blocked_by"})});
  if (rows.empty()) return;
  session.console.out << '\n';
  session.print_table({{"PARTITION", Align::Right},
                       {"CURSOR", Align::Right},
                       {"END", Align::Right},
                       {"LAG", Align::Right},
                       {"WAITING", Align::Right},
                       {"IN FLIGHT", Align::Right},
                       {"RETRYING", Align::Right},
                       {"BLOCKED BY", Align::Right}},
                      rows);
}

void print_conditions(const Session& session, const json::value& status) {
  std::vector<Row> rows;
  for (const json::value& condition : list_in(status, "conditions"))
    rows.push_back({cell(condition, {"type"}), cell(condition, {"ok"}), cell(condition, {"reason"})});
  if (rows.empty()) return;
  session.console.out << '\n';
  session.print_table({{"CONDITION"}, {"OK"}, {"REASON"}}, rows);
  // Whole: what a table would cut off may be the cause.
  for (const json::value& condition : list_in(status, "conditions")) {
    if (const std::string message = cell(condition, {"message"}); !message.empty())
      session.console.out << "why: " << printable(message) << '\n';
    if (const std::string next = cell(condition, {"next_action"}); !next.empty())
      session.console.out << "try: " << printable(next) << '\n';
  }
}

void tell_position(Session& session, const std::map<std::string, std::string>& headers) {
  const auto header = [&](const char* name) {
    const auto found = headers.find(name);
    return found == headers.end() ? std::string() : found->second;
  };
  const std::string position = header("x-position");
  if (position == "own")
    session.note(
        "note: the group had no say: the trigger has a position of its own and keeps it; --from 0:123,1:45 moves it");
  if (const std::string backlog = header("x-backlog"); !backlog.empty() && backlog != "0")
    session.note(fmt::format("note: it {}; {} messages wait",
                             position == "group" ? "goes on where the group stood" : "resumes where it stood",
                             backlog));
}

}  // namespace

VerbResult events_start(Session& session, const StartOptions& options) {
  Call call{.method = "POST", .path = {"events", options.id}};
  // With a group it may be the group that is not found, of which the message itself says what to do.
  if (!options.group) call.next_on_not_found = "dhub pipelines list";
  if (!options.version.empty()) call.query.emplace_back("pipeline_version", options.version);
  if (options.from) call.query.emplace_back("from", *options.from);
  if (options.group) call.query.emplace_back("group", *options.group);
  const auto reply = session.api.call(call);
  if (!reply) return tl::unexpected(reply.error());
  tell_position(session, reply->headers);
  if (options.wait)
    if (const auto ready = wait_until_ready(session, options.id, options.timeout); !ready)
      return tl::unexpected(ready.error());
  if (session.machine_readable())
    session.print_reply(*reply);
  else
    session.console.out << printable(cell(reply->body, {"message"})) << (options.wait ? "; it is ready\n" : "\n");
  return {};
}

VerbResult events_status(Session& session, const std::string& id) {
  const auto reply = session.api.call({.path = {"events", id, "status"}, .next_on_not_found = "dhub pipelines list"});
  if (!reply) return tl::unexpected(reply.error());
  const json::value& status = reply->body;
  if (session.machine_readable()) {
    session.print_reply(*reply);
    return {};
  }
  std::vector<Row> rows;
  const auto add = [&](const char* label, std::initializer_list<std::string_view> path) {
    if (const std::string value = cell(status, path); !value.empty()) rows.push_back({label, value});
  };
  add("pipeline", {"pipeline_id"});
  add("ready", {"ready"});
  add("state", {"state"});
  add("topic", {"topic"});
  add("version", {"version"});
  add("started", {"started_at"});
  add("instances", {"instances", "count"});
  add("why that many", {"instances", "reason"});
  add("lag", {"lag"});
  add("in flight", {"in_flight"});
  add("succeeded", {"counts", "succeeded"});
  add("filtered", {"counts", "filtered"});
  add("dead-lettered", {"counts", "dead_lettered"});
  add("expired", {"counts", "expired"});
  add("failed attempts", {"counts", "failed_attempts"});
  add("last error", {"last_error"});
  session.console.out << layout({{""}, {""}}, rows, session.console.width, false);
  print_conditions(session, status);
  print_partitions(session, status);
  return {};
}

VerbResult events_stop(Session& session, const std::string& id, bool forget_position) {
  Call call{.method = "DELETE", .path = {"events", id}};
  if (forget_position) call.query.emplace_back("position", "forget");
  return command(session, call, "stopped");
}

VerbResult events_pause(Session& session, const std::string& id) {
  return command(session, {.method = "POST", .path = {"events", id, "pause"}}, "paused");
}

VerbResult events_resume(Session& session, const std::string& id) {
  return command(session, {.method = "POST", .path = {"events", id, "resume"}}, "resumed");
}

VerbResult events_list(Session& session, std::size_t limit) {
  const auto items = fetch_list(session, {.path = {"events"}}, limit);
  if (!items) return tl::unexpected(items.error());
  print_list(
      session,
      {{"PIPELINE"},
       {"READY"},
       {"STATE"},
       {"VERSION", Align::Right},
       {"TOPIC", Align::Left, Fit::Cut},
       {"LAG", Align::Right},
       {"IN FLIGHT", Align::Right},
       {"INSTANCES", Align::Right}},
      *items, [](const json::value& t) -> Row {
        return {cell(t, {"pipeline_id"}), cell(t, {"ready"}), cell(t, {"state"}),     cell(t, {"version"}),
                cell(t, {"topic"}),       cell(t, {"lag"}),   cell(t, {"in_flight"}), cell(t, {"instances", "count"})};
      });
  if (items->empty()) session.note("no triggers yet; start one with: dhub events start PIPELINE");
  return {};
}

}  // namespace dhub::cli
