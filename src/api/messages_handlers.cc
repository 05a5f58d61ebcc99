// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <fmt/format.h>
#include <limits>

#include "api/body_reader.h"
#include "api/handlers.h"
#include "api/json.h"
#include "api/message_codec.h"
#include "api/query_reader.h"

namespace dhub::api {
namespace {

constexpr std::size_t kReadBytes = 1 << 20;      // of the log at a time
constexpr std::size_t kLargestAnswer = 8 << 20;  // a page ends early rather than grow past it
constexpr std::size_t kLongestIdempotencyKey = 255;
constexpr std::int64_t kLargest = std::numeric_limits<std::int64_t>::max();

Result<std::string> read_idempotency_key(const Request& request) {
  ASSIGN_OR_RETURN(const auto key, request.header("idempotency-key"));
  if (!key) return std::string();
  const bool printable = std::all_of(key->begin(), key->end(), [](char c) { return c > 0x20 && c < 0x7f; });
  if (!key->empty() && key->size() <= kLongestIdempotencyKey && printable) return *key;
  return fail({ErrorCode::InvalidArgument,
               fmt::format("The header Idempotency-Key must have 1 to {} printable characters without blanks.",
                           kLongestIdempotencyKey),
               {}});
}

// What the interface knows and this server does not do.
std::optional<Response> check_served(const Request& request, const std::string& type) {
  if (type == "application/cloudevents+json" || type == "application/cloudevents-batch+json")
    return problem_response(make_problem(
        415, "not_served_yet",
        "Structured and batched CloudEvents are not served yet; send one in binary mode (ce-* headers), or lines of "
        "application/x-ndjson."));
  const auto prefer = request.header("prefer");
  if (!prefer) return error_response(prefer.error());
  if (*prefer && (*prefer)->find("wait") != std::string::npos)
    return error_response({ErrorCode::Unsupported,
                           "Prefer: wait is not served yet; publish without it and ask GET "
                           "/api/v1/events/{id}/messages/{partition}/{offset}.",
                           {}});
  return std::nullopt;
}

Result<std::vector<Message>> read_lines(const Request& request, const QueryReader& query, const Limits& limits) {
  RETURN_IF_ERROR(query.status());
  return parse_messages(request.body, {limits.batch, limits.message});
}

Result<std::vector<Message>> read_single(const Request& request, QueryReader& query, const Limits& limits) {
  RETURN_IF_ERROR(query.status());
  Message message;
  ASSIGN_OR_RETURN(message.headers, cloud_event_headers(request));
  message.key = query.text("key");
  // A CloudEvent without data has no value; a message that is just empty has an empty one.
  if (!request.body.empty() || message.headers.empty()) message.value = request.body;
  if (message_bytes(message) > limits.message)
    return fail(ErrorCode::TooLarge, fmt::format("The message is larger than {} in all (limit `message`); publish a "
                                                 "reference to the data instead.",
                                                 size_to_string(limits.message)));
  std::vector<Message> messages;
  messages.push_back(std::move(message));
  return messages;
}

Result<PublishRequest> read_publish(const HandlerContext& context, const Request& request, const std::string& type) {
  QueryReader query(request);
  const bool lines = type == "application/x-ndjson" || type == "application/ndjson";
  if (lines && query.text("key")) query.wrong("key", "belongs into each line here");
  PublishRequest publish;
  const Limits& limits = context.options.limits;
  ASSIGN_OR_RETURN(publish.messages, lines ? read_lines(request, query, limits) : read_single(request, query, limits));
  ASSIGN_OR_RETURN(publish.idempotency_key, read_idempotency_key(request));
  publish.topic = request.parameter("topic");
  RETURN_IF_ERROR(parse_topic_name(publish.topic));
  return publish;
}

Response published_response(const std::vector<Placement>& placements) {
  JsonWriter out;
  out.begin_object().key("messages").begin_list();
  for (const auto& placement : placements)
    out.begin_object()
        .field("partition", placement.partition.value)
        .field("offset", placement.offset.value)
        .end_object();
  return json_response(out.end_list().end_object().take(), 202);
}

struct Page {
  Topic topic;
  PartitionId partition{};
  Offset from{};
  std::size_t limit = 0;
};

Status write_record(const RecordView& record, PartitionId partition, JsonReader& reader, JsonWriter& out) {
  ASSIGN_OR_RETURN(const Message message, to_message(record));
  out.begin_object()
      .field("partition", partition.value)
      .field("offset", record.offset.value)
      .field("timestamp", to_rfc3339(record.timestamp));
  write_message(message, reader, out);
  out.end_object();
  return {};
}

// Writes the items and answers where the next page begins; `more` says whether there is one.
Result<Offset> write_items(const EventLog& log, const Page& page, JsonWriter& out, bool& more) {
  JsonReader reader;
  Offset next = page.from;
  std::size_t written = 0;
  while (true) {
    ASSIGN_OR_RETURN(const ReadResult read, log.read(page.topic.uid, page.partition, next, kReadBytes));
    for (const auto& record : read.batch->records) {
      if (record.offset < next) continue;
      more = true;
      if (written == page.limit || out.size() >= kLargestAnswer) return next;
      RETURN_IF_ERROR(write_record(record, page.partition, reader, out));
      ++written;
      next = Offset{record.offset.value + 1};
    }
    more = !read.end_reached;
    const bool stuck = read.next_offset <= next && read.batch->records.empty();
    next = std::max(next, read.next_offset);
    if (read.end_reached || stuck) return next;
  }
}

Result<Page> read_page(const HandlerContext& context, const Request& request) {
  Page page;
  ASSIGN_OR_RETURN(page.topic, find_topic(context, request));
  ASSIGN_OR_RETURN(const auto accept, request.header("accept"));
  if (accept && accept->find("text/event-stream") != std::string::npos)
    return fail(ErrorCode::Unsupported,
                "Following a topic is not served yet; read page by page with the token of the last one.");
  QueryReader query(request);
  page.limit = query.limit();
  const auto partition = query.integer("partition", 0, std::numeric_limits<std::int32_t>::max()).value_or(0);
  const auto offset = query.integer("offset", 0, kLargest);
  const auto token = query.integer("token", 0, kLargest);
  if (offset && token) query.wrong("token", "says the offset already; give one of them");
  RETURN_IF_ERROR(query.status());
  page.partition = PartitionId{static_cast<std::int32_t>(partition)};
  for (const auto& range : page.topic.partitions) {
    if (range.partition != page.partition) continue;
    page.from = Offset{token.value_or(offset.value_or(range.start.value))};
    return page;
  }
  return fail(ErrorCode::NotFound, fmt::format("Topic '{}' has no partition {}; it has {}.", page.topic.name, partition,
                                               page.topic.settings.partitions));
}

}  // namespace

void publish_messages(const HandlerContext& context, const Request& request, Reply reply) {
  const auto type = media_type(request);
  if (!type) return reply(error_response(type.error()));
  if (auto refusal = check_served(request, *type)) return reply(std::move(*refusal));
  auto publish = read_publish(context, request, *type);
  if (!publish) return reply(error_response(publish.error()));
  context.services.event_log.publish(std::move(*publish), answering(std::move(reply), published_response));
}

void read_messages(const HandlerContext& context, const Request& request, Reply reply) {
  const auto page = read_page(context, request);
  if (!page) return reply(error_response(page.error()));
  JsonWriter out;
  out.begin_object().key("items").begin_list();
  bool more = false;
  const auto next = write_items(context.services.event_log, *page, out, more);
  if (!next) return reply(error_response(next.error()));
  out.end_list().field("next_offset", next->value);
  if (more) out.field("token", std::to_string(next->value));
  reply(json_response(out.end_object().take()));
}

}  // namespace dhub::api
