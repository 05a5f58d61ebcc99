// SPDX-License-Identifier: Apache-2.0
#include "cli/pipelines_verbs.h"

#include <array>
#include <fmt/format.h>
#include <optional>
#include <ostream>
#include <utility>

#include "cli/documents.h"
#include "cli/json_text.h"
#include "cli/text.h"

namespace dhub::cli {
namespace {

namespace json = boost::json;

struct Applied {
  std::string id;
  std::string result;  // created, updated, unchanged
  std::string version;
  std::string running_version;
};

// The definition as it is sent. What a file leaves out is empty, not "as it was": after `apply` the pipeline is what
// the file says. What only the server sets is left out, so that the output of `get` can be applied anywhere.
json::object body_of(const json::object& document) {
  static constexpr std::array<std::string_view, 3> kSetByServer = {"version", "running_version", "created_at"};
  json::object body = document;
  for (const std::string_view key : kSetByServer) body.erase(key);
  if (!body.contains("steps")) body["steps"] = json::array();
  if (!body.contains("options")) body["options"] = json::object();
  if (!body.contains("metadata")) body["metadata"] = json::object();
  return body;
}

Answer<Applied> create(Session& session, const json::object& body) {
  const auto reply = session.api.call({.method = "POST", .path = {"pipelines"}, .body = to_compact_json(body)});
  if (!reply) return tl::unexpected(reply.error());
  return Applied{cell(reply->body, {"id"}), "created", cell(reply->body, {"version"}), {}};
}

Answer<Applied> apply_one(Session& session, const json::object& document) {
  json::object body = body_of(document);
  const std::string id = cell(document, {"id"});
  if (id.empty()) return create(session, body);
  const auto before = session.api.call({.path = {"pipelines", id}});
  if (!before && before.error().status == 404) return create(session, body);
  if (!before) return tl::unexpected(before.error());
  const auto after = session.api.call({.method = "PUT", .path = {"pipelines", id}, .body = to_compact_json(body)});
  if (!after) return tl::unexpected(after.error());
  const std::string version = cell(after->body, {"version"});
  return Applied{id, version == cell(before->body, {"version"}) ? "unchanged" : "updated", version,
                 cell(after->body, {"running_version"})};
}

// Puts the place in the file before each pointer, so that an editor can jump there.
void locate(Failure& failure, const Document& document, const std::string& name) {
  for (FieldError& field : failure.fields)
    if (const int line = line_of(document, field.pointer); line > 0)
      field.pointer = fmt::format("{}:{}: {}", name, line, field.pointer);
}

// A file may hold one pipeline, several documents, or a list (`items` as from `pipelines list -o yaml`).
std::optional<std::vector<Document>> flatten(std::vector<Document> documents) {
  std::vector<Document> flat;
  for (Document& document : documents) {
    const json::value* list = &document.value;
    if (list->is_object() && list->get_object().contains("items")) list = &list->get_object().at("items");
    if (list->is_array()) {
      for (const json::value& item : list->get_array()) flat.push_back({item, {}});
    } else {
      flat.push_back(std::move(document));
    }
  }
  for (const Document& document : flat)
    if (!document.value.is_object()) return std::nullopt;
  return flat;
}

Answer<std::vector<Document>> read_definitions(const Session& session, const std::string& file,
                                               const std::string& name) {
  auto text = read_input(session.console, file);
  if (!text) return tl::unexpected(text.error());
  auto documents = parse_documents(*text, name);
  if (!documents) return failed(ExitCode::Failed, "cannot read the definition", documents.error().message);
  auto flat = flatten(std::move(*documents));
  if (!flat)
    return failed(ExitCode::Failed, "cannot read the definition",
                  name + " holds something that is not a pipeline: each must be a mapping with name, options, steps.");
  if (flat->empty()) return failed(ExitCode::Failed, "nothing to apply", name + " holds no pipeline.");
  return std::move(*flat);
}

void tell(Session& session, const Applied& applied, bool had_id) {
  if (!session.machine_readable())
    session.console.out << printable(
                               fmt::format("pipeline {} {} (version {})", applied.id, applied.result, applied.version))
                        << '\n';
  if (!had_id)
    session.note(fmt::format("note: the file gives no id, so applying it again makes another pipeline; add `id: {}`",
                             applied.id));
  if (applied.result == "updated" && !applied.running_version.empty() && applied.running_version != applied.version)
    session.note(fmt::format("note: its trigger still runs version {}; switch with: dhub events start {}",
                             applied.running_version, applied.id));
}

Row row_of(const json::value& pipeline) {
  const auto* steps = pipeline.is_object() ? pipeline.get_object().if_contains("steps") : nullptr;
  const std::size_t count = steps != nullptr && steps->is_array() ? steps->get_array().size() : 0;
  return {cell(pipeline, {"id"}),      cell(pipeline, {"name"}),
          cell(pipeline, {"version"}), cell(pipeline, {"options", "event"}),
          std::to_string(count),       cell(pipeline, {"created_at"})};
}

const std::vector<Column> kColumns = {{"ID"},
                                      {"NAME", Align::Left, Fit::Cut},
                                      {"VERSION", Align::Right},
                                      {"EVENT", Align::Left, Fit::Cut},
                                      {"STEPS", Align::Right},
                                      {"CREATED", Align::Left, Fit::Cut}};

}  // namespace

VerbResult pipelines_apply(Session& session, const std::string& file) {
  const std::string name = file == "-" ? "standard input" : file;
  const auto documents = read_definitions(session, file, name);
  if (!documents) return tl::unexpected(documents.error());
  json::array results;
  std::vector<Failure> failures;
  for (const Document& document : *documents) {
    const json::object& definition = document.value.get_object();
    auto applied = apply_one(session, definition);
    if (applied) {
      tell(session, *applied, definition.contains("id"));
      results.push_back({{"id", applied->id}, {"result", applied->result}, {"version", applied->version}});
      continue;
    }
    locate(applied.error(), document, name);
    failures.push_back(std::move(applied.error()));
    if (documents->size() > 1) session.console.err << render(failures.back());
    if (failures.back().status == 0) break;  // no server, or none that answers: the others would fail alike
  }
  if (session.machine_readable()) session.print_value(json::object{{"items", results}});
  if (failures.empty()) return {};
  if (documents->size() == 1) return tl::unexpected(std::move(failures.front()));
  return failed(failures.front().exit, "not everything was applied",
                fmt::format("{} of {} pipelines were.", results.size(), documents->size()));
}

VerbResult pipelines_list(Session& session, std::size_t limit) {
  const auto items = fetch_list(session, {.path = {"pipelines"}}, limit);
  if (!items) return tl::unexpected(items.error());
  print_list(session, kColumns, *items, row_of);
  if (items->empty()) session.note("no pipelines yet; make one with: dhub pipelines apply -f FILE");
  return {};
}

VerbResult pipelines_get(Session& session, const std::string& id, const std::string& version) {
  Call call{.path = {"pipelines", id}, .next_on_not_found = "dhub pipelines list"};
  if (!version.empty()) call.query.emplace_back("version", version);
  const auto reply = session.api.call(call);
  if (!reply) return tl::unexpected(reply.error());
  if (session.output.format == OutputFormat::Table)
    session.print_table(kColumns, {row_of(reply->body)});
  else
    session.print_reply(*reply);
  return {};
}

VerbResult pipelines_delete(Session& session, const DeletePipelineOptions& options) {
  Call call{.method = "DELETE",
            .path = {"pipelines", options.id},
            .next_on_not_found = "dhub pipelines list",
            .next_on_conflict = fmt::format("dhub events stop {}", options.id)};
  if (options.discard_dead_letters) call.query.emplace_back("discard_dead_letters", "true");
  const auto reply = session.api.call(call);
  if (!reply) return tl::unexpected(reply.error());
  session.note(fmt::format("pipeline {} deleted", options.id));
  return {};
}

}  // namespace dhub::cli
