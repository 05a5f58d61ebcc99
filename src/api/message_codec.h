// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "api/json.h"
#include "api/request.h"
#include "base/result.h"
#include "model/message.h"

namespace dhub::api {

// The JSON shape of a message, the same for publishing and reading:
//   "key" (text or null) or "key_base64"
//   "value" (any JSON, kept byte for byte; null is a tombstone), "value_text" or "value_base64"
//   "headers": {"name": "text" or null}, or, where names repeat or bytes are not text,
//              [{"name": ..., "value": ...} or {"name": ..., "value_base64": ...}]

// Reads one line. Malformed when it is no JSON, InvalidArgument with pointers when it is not such a message.
[[nodiscard]] Result<Message> parse_message(std::string_view line, JsonReader& reader);

struct BatchLimits {
  std::size_t most_messages = 0;
  std::size_t message_bytes = 0;
};
// One message a line; empty lines count for nothing. Errors name the line. TooLarge beyond the limits.
[[nodiscard]] Result<std::vector<Message>> parse_messages(std::string_view text, const BatchLimits& limits);

// Bytes that count towards the limit of one message.
[[nodiscard]] std::size_t message_bytes(const Message& message);

// Writes key, value and headers as members of the object that is open. What is read by parse_message is the same
// message again. `reader` tells whether a value is JSON.
void write_message(const Message& message, JsonReader& reader, JsonWriter& out);

// The headers that CloudEvents in HTTP's binary mode become: `ce-id: 1` is kept as `ce_id`, Content-Type as
// `content-type`. Empty when the request is not one; InvalidArgument when it is one and lacks what every event has.
[[nodiscard]] Result<std::vector<Header>> cloud_event_headers(const Request& request);

}  // namespace dhub::api
