// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/message.h"
#include "model/topic.h"

namespace dhub::store {

// A stored batch says itself where it belongs, so that a misplaced one is found out. docs/specs/record-batch.md.
struct BatchHeader {
  TopicUid topic{};
  PartitionId partition{};
  Offset base{};
  std::uint32_t count = 0;
};
constexpr std::size_t kBatchHeaderBytes = 1 + 4 + 8 + 4 + 8 + 4;

// Writes header and checksum into the first kBatchHeaderBytes of `batch`, whose records follow them.
void seal_batch(std::string& batch, const BatchHeader& header);

// Appends the records of a stored batch to `records`: views into `batch`. Corruption unless it is, byte for byte, the
// batch that `expected` says.
[[nodiscard]] Status open_batch(std::string_view batch, const BatchHeader& expected, std::vector<RecordView>& records);

// The messages of one publish request, encoded by the caller's thread so that the writer only copies.
struct EncodedMessages {
  std::string bytes;                 // records, one after another
  std::vector<std::uint32_t> sizes;  // of each
  [[nodiscard]] std::size_t count() const { return sizes.size(); }
};
// InvalidArgument or TooLarge when a message has no stored form.
[[nodiscard]] Result<EncodedMessages> encode_messages(const std::vector<Message>& messages);

// One encoded record, in place.
[[nodiscard]] std::int64_t record_timestamp(std::string_view record);
void set_record_timestamp(char* record, WallTime at);

}  // namespace dhub::store
