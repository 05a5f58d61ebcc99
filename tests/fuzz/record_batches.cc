// SPDX-License-Identifier: Apache-2.0
// Stored batches: bytes of anybody's are refused, and what is behind a right checksum is read without harm, and as what
// it was written from.
#include <vector>

#include "base/check.h"
#include "fuzz/input.h"
#include "store/sqlite/batch_format.h"

namespace dhub::fuzz {
namespace {

store::BatchHeader header_of(std::uint32_t count) {
  return {TopicUid{7}, PartitionId{3}, Offset{1000}, count};
}

std::string sealed(std::string_view records, const store::BatchHeader& header) {
  std::string batch(store::kBatchHeaderBytes, '\0');
  batch += records;
  store::seal_batch(batch, header);
  return batch;
}

std::vector<Message> messages_of(const std::vector<RecordView>& records) {
  std::vector<Message> messages;
  for (const auto& record : records)
    if (auto message = to_message(record)) messages.push_back(std::move(*message));
  return messages;
}

void check_messages(const std::vector<Message>& messages) {
  const auto encoded = store::encode_messages(messages);
  CHECK(encoded.has_value() && encoded->count() == messages.size());
  const auto header = header_of(static_cast<std::uint32_t>(messages.size()));
  const std::string batch = sealed(encoded->bytes, header);
  std::vector<RecordView> records;
  CHECK(store::open_batch(batch, header, records).has_value());
  CHECK(messages_of(records) == messages);
}

// As if the disk held it: the checksum is right, the records are anybody's.
void check_records(std::string_view bytes, std::uint32_t count) {
  const auto header = header_of(count);
  const std::string batch = sealed(bytes, header);
  std::vector<RecordView> records;
  if (!store::open_batch(batch, header, records)) {
    CHECK(records.empty());
    return;
  }
  CHECK(records.size() == count);
  for (std::uint32_t i = 0; i < count; ++i) CHECK(records[i].offset == Offset{1000 + std::int64_t{i}});
  check_messages(messages_of(records));
}

}  // namespace
}  // namespace dhub::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto bytes = dhub::fuzz::text_of(data, size);
  std::vector<dhub::RecordView> records;
  const auto count = dhub::fuzz::take_byte(bytes);
  if (!dhub::store::open_batch(bytes, dhub::fuzz::header_of(count), records)) CHECK(records.empty());
  dhub::fuzz::check_records(bytes, count);
  return 0;
}
