// SPDX-License-Identifier: Apache-2.0
#include "cli/session.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <fstream>
#include <istream>
#include <ostream>

#include "cli/documents.h"
#include "cli/json_text.h"
#include "cli/text.h"

namespace dhub::cli {
namespace {

namespace json = boost::json;

constexpr std::size_t kMostPage = 500;
constexpr std::size_t kMostInput = 64U << 20;

}  // namespace

void Session::note(std::string_view text) const {
  console.err << printable(text) << '\n';
}

void Session::print_value(const json::value& value) const {
  console.out << (output.format == OutputFormat::Json ? to_json(value) : to_yaml(value));
}

void Session::print_reply(const ApiReply& reply) const {
  if (output.format == OutputFormat::Json)
    console.out << indent_json(reply.text);
  else
    print_value(reply.body);
}

void Session::print_table(const std::vector<Column>& columns, const std::vector<Row>& rows) const {
  console.out << layout(columns, rows, console.width, output.headers);
}

void print_list(const Session& session, const std::vector<Column>& columns, const json::array& items,
                const std::function<Row(const json::value&)>& row) {
  if (session.machine_readable()) {
    session.print_value(json::object{{"items", items}});
    return;
  }
  std::vector<Row> rows;
  for (const json::value& item : items) rows.push_back(row(item));
  session.print_table(columns, rows);
}

std::string cell(const json::value& value, std::initializer_list<std::string_view> path) {
  const json::value* at = &value;
  for (const std::string_view key : path) {
    if (!at->is_object()) return {};
    at = at->get_object().if_contains({key.data(), key.size()});
    if (at == nullptr) return {};
  }
  if (at->is_string()) return std::string(at->get_string());
  if (at->is_bool()) return at->get_bool() ? "yes" : "no";
  return at->is_number() ? to_compact_json(*at) : std::string();
}

Answer<json::array> fetch_list(Session& session, Call call, std::size_t limit) {
  json::array items;
  std::string token;
  const auto query = call.query;
  while (items.size() < limit) {
    call.query = query;
    call.query.emplace_back("limit", std::to_string(std::min(limit - items.size(), kMostPage)));
    if (!token.empty()) call.query.emplace_back("token", token);
    auto reply = session.api.call(call);
    if (!reply) return tl::unexpected(reply.error());
    const auto* page = reply->body.is_object() ? reply->body.get_object().if_contains("items") : nullptr;
    if (page == nullptr || !page->is_array())
      return failed(ExitCode::Failed, "not a dhub server", "The reply holds no list of items.");
    for (const json::value& item : page->get_array()) items.push_back(item);
    token = cell(reply->body, {"token"});
    if (token.empty() || page->get_array().empty()) return items;
  }
  session.note(fmt::format("note: these are the first {}; --limit shows more", limit));
  return items;
}

Answer<std::string> read_input(const Console& console, const std::string& file) {
  std::ifstream opened;
  if (file != "-") {
    errno = 0;
    opened.open(file, std::ios::binary);
    if (!opened) return failed(ExitCode::Failed, "cannot read " + file, std::strerror(errno != 0 ? errno : EIO));
  }
  std::istream& in = file == "-" ? console.in : opened;
  std::string content;
  std::string piece(64U << 10, '\0');
  while (in.read(piece.data(), static_cast<std::streamsize>(piece.size())), in.gcount() > 0) {
    content.append(piece, 0, static_cast<std::size_t>(in.gcount()));
    if (content.size() > kMostInput)
      return failed(ExitCode::Failed, "too much input", fmt::format("{} holds more than 64 MiB.", file));
  }
  if (in.bad()) return failed(ExitCode::Failed, "cannot read " + file, "It is not a readable file.");
  return content;
}

}  // namespace dhub::cli
