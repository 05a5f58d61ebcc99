// SPDX-License-Identifier: Apache-2.0
// NDJSON that is published, and CloudEvents in binary mode. What is written of a message reads as the same message.
#include <algorithm>

#include "api/message_codec.h"
#include "base/check.h"
#include "fuzz/input.h"

namespace dhub::fuzz {
namespace {

void read_again(const Message& message, api::JsonReader& reader) {
  api::JsonWriter out;
  out.begin_object();
  api::write_message(message, reader, out);
  const auto again = api::parse_message(out.end_object().take(), reader);
  CHECK(again.has_value());
  CHECK(*again == message);
}

void check_batch(std::string_view text) {
  const auto messages = api::parse_messages(text, {100, 10'000});
  if (!messages) return;
  CHECK(!messages->empty() && messages->size() <= 100);
  api::JsonReader reader;
  for (const auto& message : *messages) {
    CHECK(api::message_bytes(message) <= 10'000);
    read_again(message, reader);
  }
}

// Headers, one a line.
void check_cloud_event(std::string_view text) {
  api::Request request;
  while (!text.empty()) {
    auto line = take_until(text, '\n');
    const std::string name(take_until(line, ':'));
    request.headers.emplace_back(name, line);
  }
  const auto headers = api::cloud_event_headers(request);
  if (!headers || headers->empty()) return;
  for (const char* name : {"ce_id", "ce_source", "ce_type", "ce_specversion"})
    CHECK(std::any_of(headers->begin(), headers->end(), [&](const Header& header) { return header.name == name; }));
}

}  // namespace
}  // namespace dhub::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = dhub::fuzz::text_of(data, size);
  dhub::fuzz::check_batch(text);
  dhub::fuzz::check_cloud_event(text);
  return 0;
}
