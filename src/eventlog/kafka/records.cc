// SPDX-License-Identifier: Apache-2.0
#include "eventlog/kafka/records.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace dhub::kafka {
namespace {

// What the library needs for a message beside its bytes, about.
constexpr std::size_t kMessageOverhead = 256;

std::optional<std::string_view> view(const void* bytes, std::size_t size) {
  if (bytes == nullptr) return std::nullopt;
  return std::string_view(static_cast<const char*>(bytes), size);
}

// Appends the header block of a message; Kafka's own limit keeps names far below the format's 64 KiB.
void append_headers(std::string& out, const rd_kafka_message_t* message) {
  rd_kafka_headers_t* headers = nullptr;
  if (rd_kafka_message_headers(message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return;
  std::vector<Header> decoded;
  const char* name = nullptr;
  const void* value = nullptr;
  std::size_t size = 0;
  for (std::size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR;
       ++i) {
    std::optional<std::string> text;
    if (value != nullptr) text.emplace(static_cast<const char*>(value), size);
    decoded.push_back({std::string(name).substr(0, std::numeric_limits<std::uint16_t>::max()), std::move(text)});
  }
  out += encode_headers(decoded);
}

}  // namespace

Loan::~Loan() {
  for (rd_kafka_message_t* message : messages) rd_kafka_message_destroy(message);
}

RecordBatchRef to_batch(std::unique_ptr<Loan> loan) {
  auto batch = std::make_shared<RecordBatch>();
  const auto& messages = loan->messages;
  batch->records.reserve(messages.size());
  std::vector<std::pair<std::size_t, std::size_t>> blocks;  // in `buffer`, which may still move
  blocks.reserve(messages.size());
  for (const rd_kafka_message_t* message : messages) {
    const std::size_t began = batch->buffer.size();
    append_headers(batch->buffer, message);
    blocks.emplace_back(began, batch->buffer.size() - began);
    RecordView record;
    record.offset = Offset{message->offset};
    rd_kafka_timestamp_type_t type{};
    record.timestamp = WallTime{std::max<std::int64_t>(rd_kafka_message_timestamp(message, &type), 0)};
    record.key = view(message->key, message->key_len);
    record.value = view(message->payload, message->len);
    batch->pinned_bytes += record.bytes() + kMessageOverhead;
    batch->records.push_back(record);
  }
  for (std::size_t i = 0; i < blocks.size(); ++i)
    batch->records[i].headers = std::string_view(batch->buffer).substr(blocks[i].first, blocks[i].second);
  batch->pinned = std::shared_ptr<const Loan>(std::move(loan));
  return batch;
}

Headers to_headers(const std::vector<Header>& headers) {
  if (headers.empty()) return nullptr;
  Headers made(rd_kafka_headers_new(headers.size()));
  for (const auto& header : headers)
    rd_kafka_header_add(made.get(), header.name.data(), static_cast<ssize_t>(header.name.size()),
                        header.value ? header.value->data() : nullptr,
                        header.value ? static_cast<ssize_t>(header.value->size()) : 0);
  return made;
}

}  // namespace dhub::kafka
