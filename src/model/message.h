// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "model/ids.h"

namespace dhub {

// Header names may repeat and their order counts; a value may be null, as in Kafka.
struct Header {
  std::string name;
  std::optional<std::string> value;
  bool operator==(const Header&) const = default;
};

// A message as it is published. No key = unconstrained order; an empty key is a key. No value = tombstone.
struct Message {
  std::optional<std::string> key;
  std::vector<Header> headers;
  std::optional<std::string> value;
  WallTime timestamp{};  // 0: the log stamps it when it is appended
  bool operator==(const Message&) const = default;
};

// Headers travel as one block of bytes from the log through the frames to the worker and are decoded only where
// somebody looks: per header u16 name length, name, u32 value length (0xffffffff = null), value; little endian.
[[nodiscard]] std::string encode_headers(const std::vector<Header>& headers);
// Corruption when the bytes are not such a block.
[[nodiscard]] Result<std::vector<Header>> decode_headers(std::string_view block);

// A message as it is read: views into a buffer that somebody else keeps alive (a RecordBatch).
struct RecordView {
  Offset offset{};
  WallTime timestamp{};
  std::optional<std::string_view> key;
  std::string_view headers;  // a block as above
  std::optional<std::string_view> value;

  [[nodiscard]] std::size_t bytes() const {
    return headers.size() + (key ? key->size() : 0) + (value ? value->size() : 0);
  }
};

// Records of one partition, rising by offset, and the buffer that they point into. Shared because an event is held
// until it is finished, which may be long after its neighbours; immutable after it is made.
struct RecordBatch {
  std::vector<RecordView> records;
  std::string buffer;
  // Memory of somebody else's that the records point into as well, let go with the batch, and about how much it is.
  std::shared_ptr<const void> pinned;
  std::size_t pinned_bytes = 0;
};
using RecordBatchRef = std::shared_ptr<const RecordBatch>;

// The binary form of one record, in stored batches and in frames: u32 length of what follows, u8 attributes (1 = has
// key, 2 = has value), i64 timestamp ms, u32 key length, u32 headers length, u32 value length, then these bytes.
constexpr std::size_t kRecordOverhead = 4 + 1 + 8 + 4 + 4 + 4;
void append_record(std::string& out, const RecordView& record);
// Takes one record off `bytes` (its offset is not in there and stays 0). Corruption when it does not fit.
[[nodiscard]] Result<RecordView> take_record(std::string_view& bytes);

// A view of a message; valid as long as `message` and `header_block` are.
[[nodiscard]] RecordView view_of(const Message& message, std::string_view header_block);
[[nodiscard]] Result<Message> to_message(const RecordView& record);

}  // namespace dhub
