// SPDX-License-Identifier: Apache-2.0
#include "cli/topics_verbs.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <fstream>
#include <istream>
#include <map>
#include <utility>

#include "base/utf8.h"
#include "cli/base64.h"
#include "cli/json_text.h"

namespace dhub::cli {
namespace {

namespace json = boost::json;

// Well below the server's default limit of 8 MiB a body.
constexpr std::size_t kBatchBytes = 4U << 20;
constexpr std::size_t kBatchLines = 10'000;
constexpr std::size_t kMostLine = 4U << 20;

// Where the messages of one or more requests went, a row for each partition.
class Placed {
 public:
  void add(const json::value& reply) {
    const auto* messages = reply.is_object() ? reply.get_object().if_contains("messages") : nullptr;
    if (messages == nullptr || !messages->is_array()) return;
    for (const json::value& message : messages->get_array()) {
      all_.push_back(message);
      Range& range = ranges_[cell(message, {"partition"})];
      if (range.count++ == 0) range.first = cell(message, {"offset"});
      range.last = cell(message, {"offset"});
    }
  }

  [[nodiscard]] std::size_t count() const { return all_.size(); }

  void print(const Session& session) const {
    if (session.machine_readable()) {
      session.print_value(json::object{{"messages", all_}});
      return;
    }
    std::vector<Row> rows;
    for (const auto& [partition, range] : ranges_)
      rows.push_back({partition, std::to_string(range.count), range.first, range.last});
    session.print_table({{"PARTITION", Align::Right},
                         {"MESSAGES", Align::Right},
                         {"FIRST OFFSET", Align::Right},
                         {"LAST OFFSET", Align::Right}},
                        rows);
  }

 private:
  struct Range {
    std::size_t count = 0;
    std::string first;
    std::string last;
  };
  json::array all_;
  std::map<std::string, Range> ranges_;
};

Call publish_call(const std::string& topic, std::string body, std::string content_type) {
  Call call{.method = "POST", .path = {"topics", topic, "messages"}};
  call.body = std::move(body);
  call.content_type = std::move(content_type);
  return call;
}

Answer<json::object> parse_headers(const std::vector<std::string>& headers) {
  json::object object;
  for (const std::string& header : headers) {
    const auto equals = header.find('=');
    if (equals == std::string::npos || equals == 0)
      return failed(ExitCode::Usage, "not a header", fmt::format("'{}' is not of the form name=value.", header));
    const std::string name = header.substr(0, equals);
    if (object.contains(name))
      return failed(ExitCode::Usage, "not a header",
                    fmt::format("'{}' is given twice; publish with --ndjson for repeated headers.", name));
    if (!is_utf8(header))
      return failed(ExitCode::Usage, "not a header", "A header must be UTF-8 text; publish other bytes with --ndjson.");
    object[name] = header.substr(equals + 1);
  }
  return object;
}

// One message goes as it is, so that any bytes can; with headers, as a line that can name them.
Answer<Call> one_message(const PublishOptions& options, std::string value) {
  if (options.headers.empty()) {
    Call call = publish_call(options.topic, std::move(value), "application/octet-stream");
    if (options.key) call.query.emplace_back("key", *options.key);
    return call;
  }
  auto headers = parse_headers(options.headers);
  if (!headers) return tl::unexpected(headers.error());
  json::object line{{"headers", std::move(*headers)}};
  if (options.key && is_utf8(*options.key))
    line["key"] = *options.key;
  else if (options.key)
    line["key_base64"] = encode_base64(*options.key);
  if (is_utf8(value))
    line["value_text"] = value;
  else
    line["value_base64"] = encode_base64(value);
  return publish_call(options.topic, to_compact_json(line) + '\n', "application/x-ndjson");
}

// Lines of an input, handed out in batches that fit a request.
class LineBatches {
 public:
  explicit LineBatches(std::istream& in) : in_(in) {}

  // Empty at the end of the input.
  Answer<std::string> next() {
    std::string batch = std::exchange(kept_, {});
    first_line_ = batch.empty() ? line_ + 1 : line_;
    std::string text;
    for (std::size_t lines = batch.empty() ? 0 : 1; lines < kBatchLines && std::getline(in_, text);) {
      ++line_;
      if (text.size() > kMostLine)
        return failed(ExitCode::Failed, "line too long", fmt::format("Line {} is longer than 4 MiB.", line_));
      if (text.find_first_not_of(" \t\r") == std::string::npos) continue;
      text += '\n';
      if (!batch.empty() && batch.size() + text.size() > kBatchBytes) {
        kept_ = std::move(text);
        return batch;
      }
      batch += text;
      ++lines;
    }
    if (in_.bad()) return failed(ExitCode::Failed, "cannot read the messages", "The input broke off.");
    return batch;
  }

  [[nodiscard]] std::size_t first_line() const { return first_line_; }

 private:
  std::istream& in_;
  std::string kept_;
  std::size_t line_ = 0;
  std::size_t first_line_ = 1;
};

VerbResult publish_lines(Session& session, const PublishOptions& options, std::istream& in) {
  LineBatches batches(in);
  Placed placed;
  while (true) {
    auto batch = batches.next();
    Failure failure;
    if (batch) {
      if (batch->empty()) break;
      const auto reply = session.api.call(publish_call(options.topic, std::move(*batch), "application/x-ndjson"));
      if (reply) {
        placed.add(reply->body);
        continue;
      }
      failure = reply.error();
    } else {
      failure = batch.error();
    }
    if (placed.count() > 0) {
      placed.print(session);
      session.note(
          fmt::format("note: the {} messages before line {} are published", placed.count(), batches.first_line()));
    }
    return tl::unexpected(std::move(failure));
  }
  if (placed.count() == 0) return failed(ExitCode::Failed, "nothing to publish", "The input holds no message.");
  placed.print(session);
  return {};
}

Answer<std::string> value_of(const Session& session, const PublishOptions& options) {
  if (options.value) return *options.value;
  return read_input(session.console, options.file);
}

VerbResult check(const PublishOptions& options) {
  if (!options.value && options.file.empty())
    return failed(ExitCode::Usage, "no message", "Give --value V, --file FILE, or - for standard input.",
                  fmt::format("dhub topics publish {} --value '{{\"n\": 1}}'", options.topic));
  if (options.ndjson && options.value)
    return failed(ExitCode::Usage, "too many options", "--ndjson reads lines from --file FILE or from -.");
  if (options.ndjson && (options.key || !options.headers.empty()))
    return failed(ExitCode::Usage, "too many options", "With --ndjson each line says its own key and headers.");
  return {};
}

std::int64_t number(const json::value& object, const char* key) {
  const auto* value = object.is_object() ? object.get_object().if_contains(key) : nullptr;
  return value != nullptr && value->is_int64() ? value->get_int64() : 0;
}

Row topic_row(const json::value& topic) {
  const auto* offsets = topic.is_object() ? topic.get_object().if_contains("offsets") : nullptr;
  std::int64_t messages = 0;
  if (offsets != nullptr && offsets->is_array())
    for (const json::value& range : offsets->get_array()) messages += number(range, "end") - number(range, "start");
  return {cell(topic, {"name"}), cell(topic, {"partitions"}), std::to_string(messages),
          cell(topic, {"retention", "age"}), cell(topic, {"created_at"})};
}

const std::vector<Column> kTopicColumns = {{"NAME"},
                                           {"PARTITIONS", Align::Right},
                                           {"MESSAGES", Align::Right},
                                           {"KEPT FOR", Align::Right},
                                           {"CREATED", Align::Left, Fit::Cut}};

std::string first_of(const json::value& message, std::string_view name, std::string_view other) {
  const std::string text = cell(message, {name});
  return text.empty() ? cell(message, {other}) : text;
}

std::string shown_value(const json::value& message) {
  const auto* value = message.is_object() ? message.get_object().if_contains("value") : nullptr;
  if (value != nullptr) return value->is_string() ? std::string(value->get_string()) : to_compact_json(*value);
  return first_of(message, "value_text", "value_base64");
}

}  // namespace

VerbResult topics_publish(Session& session, const PublishOptions& options) {
  if (const auto checked = check(options); !checked) return checked;
  if (options.ndjson) {
    if (options.file == "-") return publish_lines(session, options, session.console.in);
    errno = 0;
    std::ifstream file(options.file, std::ios::binary);
    if (!file) return failed(ExitCode::Failed, "cannot read " + options.file, std::strerror(errno != 0 ? errno : EIO));
    return publish_lines(session, options, file);
  }
  auto value = value_of(session, options);
  if (!value) return tl::unexpected(value.error());
  const auto call = one_message(options, std::move(*value));
  if (!call) return tl::unexpected(call.error());
  const auto reply = session.api.call(*call);
  if (!reply) return tl::unexpected(reply.error());
  Placed placed;
  placed.add(reply->body);
  placed.print(session);
  return {};
}

VerbResult topics_read(Session& session, const ReadOptions& options) {
  Call call{.path = {"topics", options.topic, "messages"},
            .query = {{"partition", std::to_string(options.partition)}},
            .next_on_not_found = "dhub topics list"};
  if (options.offset) call.query.emplace_back("offset", std::to_string(*options.offset));
  call.query.emplace_back("limit", std::to_string(options.limit));
  const auto reply = session.api.call(call);
  if (!reply) return tl::unexpected(reply.error());
  if (session.machine_readable()) {
    session.print_reply(*reply);
    return {};
  }
  const auto* items = reply->body.is_object() ? reply->body.get_object().if_contains("items") : nullptr;
  if (items == nullptr || !items->is_array())
    return failed(ExitCode::Failed, "not a dhub server", "The reply holds no list of items.");
  print_list(
      session, {{"OFFSET", Align::Right}, {"TIME"}, {"KEY", Align::Left, Fit::Cut}, {"VALUE", Align::Left, Fit::Cut}},
      items->get_array(), [](const json::value& message) -> Row {
        return {cell(message, {"offset"}), cell(message, {"timestamp"}), cell(message, {"key"}), shown_value(message)};
      });
  return {};
}

VerbResult topics_list(Session& session, std::size_t limit) {
  const auto items = fetch_list(session, {.path = {"topics"}}, limit);
  if (!items) return tl::unexpected(items.error());
  print_list(session, kTopicColumns, *items, topic_row);
  if (items->empty()) session.note("no topics yet; publishing makes one: dhub topics publish TOPIC --value V");
  return {};
}

VerbResult topics_get(Session& session, const std::string& topic) {
  const auto reply = session.api.call({.path = {"topics", topic}, .next_on_not_found = "dhub topics list"});
  if (!reply) return tl::unexpected(reply.error());
  if (session.output.format == OutputFormat::Table)
    session.print_table(kTopicColumns, {topic_row(reply->body)});
  else
    session.print_reply(*reply);
  return {};
}

VerbResult topics_create(Session& session, const TopicOptions& options) {
  json::object body;
  if (options.partitions) body["partitions"] = *options.partitions;
  json::object retention;
  if (!options.retention_age.empty()) retention["age"] = options.retention_age;
  if (!options.retention_bytes.empty()) retention["bytes"] = options.retention_bytes;
  if (!retention.empty()) body["retention"] = std::move(retention);
  const auto reply =
      session.api.call({.method = "PUT", .path = {"topics", options.topic}, .body = to_compact_json(body)});
  if (!reply) return tl::unexpected(reply.error());
  if (session.machine_readable()) session.print_reply(*reply);
  session.note(fmt::format("topic {} {}", options.topic, reply->status == 201 ? "created" : "is as asked"));
  return {};
}

VerbResult topics_delete(Session& session, const std::string& topic) {
  const auto reply = session.api.call({.method = "DELETE",
                                       .path = {"topics", topic},
                                       .next_on_not_found = "dhub topics list",
                                       .next_on_conflict = "dhub events list"});
  if (!reply) return tl::unexpected(reply.error());
  session.note(fmt::format("topic {} deleted", topic));
  return {};
}

}  // namespace dhub::cli
