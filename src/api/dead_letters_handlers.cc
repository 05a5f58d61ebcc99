// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <fmt/format.h>

#include "api/handlers.h"
#include "api/json.h"
#include "api/message_codec.h"
#include "api/numbers.h"
#include "api/query_reader.h"
#include "base/utf8.h"

namespace dhub::api {
namespace {

// The list leaves out what may be large: headers, value and trace.
void write_dead_letter(const DeadLetter& letter, bool whole, JsonWriter& out) {
  out.begin_object()
      .field("number", letter.number)
      .field("run_id", to_string(letter.run))
      .field("topic", letter.topic)
      .field("partition", letter.run.partition.value)
      .field("offset", letter.run.offset.value)
      .field("timestamp", to_rfc3339(letter.message.timestamp));
  if (whole) {
    JsonReader reader;
    write_message(letter.message, reader, out);
  } else if (letter.message.key && is_utf8(*letter.message.key)) {
    out.field("key", *letter.message.key);
  }
  out.field("reason", to_string(letter.reason))
      .field("attempts", letter.attempts)
      .field("version", std::to_string(letter.version.value))
      .field("step", letter.step)
      .field("first_error", letter.first_error)
      .field("last_error", letter.last_error);
  if (whole) out.field("trace", letter.trace);
  out.field("created_at", to_rfc3339(letter.created_at)).end_object();
}

}  // namespace

void list_dead_letters(const HandlerContext& context, const Request& request, Reply reply) {
  const auto pipeline = find_pipeline(context, request);
  if (!pipeline) return reply(error_response(pipeline.error()));
  QueryReader query(request);
  const std::size_t limit = query.limit();
  const auto before = query.number_token();
  if (const auto status = query.status(); !status) return reply(error_response(status.error()));
  const auto letters = context.services.journal.dead_letters(pipeline->uid, before, limit + 1);
  if (!letters) return reply(error_response(letters.error()));
  JsonWriter out;
  out.begin_object().key("items").begin_list();
  for (std::size_t i = 0; i < std::min(limit, letters->size()); ++i) write_dead_letter((*letters)[i], false, out);
  out.end_list();
  if (letters->size() > limit) out.field("token", std::to_string((*letters)[limit - 1].number));
  reply(json_response(out.end_object().take()));
}

void get_dead_letter(const HandlerContext& context, const Request& request, Reply reply) {
  const auto pipeline = find_pipeline(context, request);
  if (!pipeline) return reply(error_response(pipeline.error()));
  const std::string& text = request.parameter("number");
  const auto number = parse_number<std::int64_t>(text);
  if (!number || *number < 1)
    return reply(error_response({ErrorCode::NotFound,
                                 fmt::format("There is no dead letter '{}'; GET /api/v1/events/{}/dead-letters lists "
                                             "those there are.",
                                             shown(text), pipeline->id),
                                 {}}));
  const auto letter = context.services.journal.dead_letter(pipeline->uid, *number);
  if (!letter) return reply(error_response(letter.error()));
  if (const auto query = QueryReader(request).status(); !query) return reply(error_response(query.error()));
  JsonWriter out;
  write_dead_letter(*letter, true, out);
  reply(json_response(out.take()));
}

}  // namespace dhub::api
