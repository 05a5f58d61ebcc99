// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/batch_format.h"

#include <cstring>
#include <fmt/format.h>
#include <limits>

#include "store/sqlite/crc32c.h"

namespace dhub::store {
namespace {

constexpr char kFormat = 1;
constexpr std::size_t kChecksumAt = 1;
constexpr std::size_t kCheckedFrom = 5;
constexpr std::size_t kTimestampInRecord = 4 + 1;
constexpr std::size_t kMostRecordBytes = 256U << 20;  // far below SQLite's own bound of a blob

template <typename T>
void put(char*& at, T value) {
  std::memcpy(at, &value, sizeof value);
  at += sizeof value;
}

template <typename T>
T take(const char*& at) {
  T value{};
  std::memcpy(&value, at, sizeof value);
  at += sizeof value;
  return value;
}

tl::unexpected<Error> damaged(const BatchHeader& batch, const char* how) {
  return fail(ErrorCode::Corruption,
              fmt::format("offsets {} to {} of partition {} are damaged on the disk ({}); the messages around them can "
                          "be read.",
                          batch.base, batch.base.value + std::int64_t{batch.count} - 1, batch.partition, how));
}

Status check_header(std::string_view batch, const BatchHeader& expected) {
  if (batch.size() < kBatchHeaderBytes) return damaged(expected, "cut short");
  if (batch[0] != kFormat) return damaged(expected, "unknown format");
  const char* at = batch.data() + kChecksumAt;
  if (take<std::uint32_t>(at) != crc32c(batch.substr(kCheckedFrom))) return damaged(expected, "wrong checksum");
  const bool belongs = TopicUid{take<std::int64_t>(at)} == expected.topic &&
                       PartitionId{take<std::int32_t>(at)} == expected.partition &&
                       Offset{take<std::int64_t>(at)} == expected.base && take<std::uint32_t>(at) == expected.count;
  if (!belongs) return damaged(expected, "misplaced");
  return {};
}

Status check_storable(const Message& message) {
  std::size_t bytes = (message.key ? message.key->size() : 0) + (message.value ? message.value->size() : 0);
  for (const auto& header : message.headers) {
    if (header.name.size() > std::numeric_limits<std::uint16_t>::max())
      return fail(ErrorCode::InvalidArgument, "A header name is longer than 65535 bytes.");
    bytes += header.name.size() + (header.value ? header.value->size() : 0) + 6;
  }
  if (bytes > kMostRecordBytes) return fail(ErrorCode::TooLarge, "A message is larger than 256MiB.");
  return {};
}

}  // namespace

void seal_batch(std::string& batch, const BatchHeader& header) {
  char* at = batch.data();
  put(at, kFormat);
  char* const checksum_at = at;
  at += sizeof(std::uint32_t);
  put(at, header.topic.value);
  put(at, header.partition.value);
  put(at, header.base.value);
  put(at, header.count);
  char* checksum = checksum_at;
  put(checksum, crc32c(std::string_view(batch).substr(kCheckedFrom)));
}

Status open_batch(std::string_view batch, const BatchHeader& expected, std::vector<RecordView>& records) {
  RETURN_IF_ERROR(check_header(batch, expected));
  const std::size_t before = records.size();
  std::string_view rest = batch.substr(kBatchHeaderBytes);
  for (std::int64_t i = 0; i < std::int64_t{expected.count}; ++i) {
    auto record = take_record(rest);
    if (!record) break;
    record->offset = Offset{expected.base.value + i};
    records.push_back(*record);
  }
  if (records.size() - before == expected.count && rest.empty()) return {};
  records.resize(before);
  return damaged(expected, "not the form it was written in");
}

Result<EncodedMessages> encode_messages(const std::vector<Message>& messages) {
  EncodedMessages encoded;
  encoded.sizes.reserve(messages.size());
  for (const auto& message : messages) {
    RETURN_IF_ERROR(check_storable(message));
    const std::size_t before = encoded.bytes.size();
    const std::string headers = encode_headers(message.headers);
    append_record(encoded.bytes, view_of(message, headers));
    encoded.sizes.push_back(static_cast<std::uint32_t>(encoded.bytes.size() - before));
  }
  return encoded;
}

std::int64_t record_timestamp(std::string_view record) {
  const char* at = record.data() + kTimestampInRecord;
  return take<std::int64_t>(at);
}

void set_record_timestamp(char* record, WallTime time) {
  char* at = record + kTimestampInRecord;
  put(at, time.ms);
}

}  // namespace dhub::store
