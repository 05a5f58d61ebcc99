// SPDX-License-Identifier: Apache-2.0
#include "model/message.h"

#include <bit>
#include <cstring>
#include <limits>

namespace dhub {
namespace {

static_assert(std::endian::native == std::endian::little, "stored and wire formats are little endian");

constexpr std::uint32_t kNull = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint8_t kHasKey = 1;
constexpr std::uint8_t kHasValue = 2;

template <typename T>
void put(std::string& out, T value) {
  char raw[sizeof value];
  std::memcpy(raw, &value, sizeof value);
  out.append(raw, sizeof value);
}

template <typename T>
bool take(std::string_view& bytes, T& out) {
  if (bytes.size() < sizeof out) return false;
  std::memcpy(&out, bytes.data(), sizeof out);
  bytes.remove_prefix(sizeof out);
  return true;
}

bool take_bytes(std::string_view& bytes, std::size_t length, std::string_view& out) {
  if (bytes.size() < length) return false;
  out = bytes.substr(0, length);
  bytes.remove_prefix(length);
  return true;
}

tl::unexpected<Error> corrupt(const char* what) {
  return fail(ErrorCode::Corruption, std::string("a stored ") + what + " does not have the form it was written in.");
}

}  // namespace

std::string encode_headers(const std::vector<Header>& headers) {
  std::string block;
  for (const auto& header : headers) {
    put(block, static_cast<std::uint16_t>(header.name.size()));
    block += header.name;
    put(block, header.value ? static_cast<std::uint32_t>(header.value->size()) : kNull);
    if (header.value) block += *header.value;
  }
  return block;
}

Result<std::vector<Header>> decode_headers(std::string_view block) {
  std::vector<Header> headers;
  while (!block.empty()) {
    std::uint16_t name_length = 0;
    std::uint32_t value_length = 0;
    std::string_view name;
    std::string_view value;
    if (!take(block, name_length) || !take_bytes(block, name_length, name) || !take(block, value_length))
      return corrupt("header block");
    if (value_length != kNull && !take_bytes(block, value_length, value)) return corrupt("header block");
    headers.push_back({std::string(name), value_length == kNull ? std::nullopt : std::optional<std::string>(value)});
  }
  return headers;
}

void append_record(std::string& out, const RecordView& record) {
  put(out, static_cast<std::uint32_t>(kRecordOverhead - 4 + record.bytes()));
  put(out, static_cast<std::uint8_t>((record.key ? kHasKey : 0) | (record.value ? kHasValue : 0)));
  put(out, record.timestamp.ms);
  put(out, static_cast<std::uint32_t>(record.key ? record.key->size() : 0));
  put(out, static_cast<std::uint32_t>(record.headers.size()));
  put(out, static_cast<std::uint32_t>(record.value ? record.value->size() : 0));
  if (record.key) out.append(*record.key);
  out.append(record.headers);
  if (record.value) out.append(*record.value);
}

Result<RecordView> take_record(std::string_view& bytes) {
  std::uint32_t length = 0;
  std::string_view body;
  if (!take(bytes, length) || !take_bytes(bytes, length, body)) return corrupt("record");
  RecordView record;
  std::uint8_t attributes = 0;
  std::uint32_t key_length = 0;
  std::uint32_t headers_length = 0;
  std::uint32_t value_length = 0;
  std::string_view key;
  std::string_view value;
  const bool fits = take(body, attributes) && take(body, record.timestamp.ms) && take(body, key_length) &&
                    take(body, headers_length) && take(body, value_length) && take_bytes(body, key_length, key) &&
                    take_bytes(body, headers_length, record.headers) && take_bytes(body, value_length, value) &&
                    body.empty();
  if (!fits) return corrupt("record");
  if (attributes & kHasKey) record.key = key;
  if (attributes & kHasValue) record.value = value;
  return record;
}

RecordView view_of(const Message& message, std::string_view header_block) {
  RecordView view;
  view.timestamp = message.timestamp;
  if (message.key) view.key = *message.key;
  view.headers = header_block;
  if (message.value) view.value = *message.value;
  return view;
}

Result<Message> to_message(const RecordView& record) {
  Message message;
  ASSIGN_OR_RETURN(message.headers, decode_headers(record.headers));
  if (record.key) message.key = std::string(*record.key);
  if (record.value) message.value = std::string(*record.value);
  message.timestamp = record.timestamp;
  return message;
}

}  // namespace dhub
