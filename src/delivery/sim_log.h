// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "base/check.h"
#include "delivery/engine.h"
#include "model/message.h"

namespace dhub::delivery {

// One partition of a topic, for tests: records that can be appended, compacted away and dropped by retention.
class SimLog {
 public:
  Offset append(Message message) {
    records_.emplace(end_, std::move(message));
    return Offset{end_++};
  }
  void skip(std::int64_t offsets) { end_ += offsets; }
  void compact_away(Offset offset) { records_.erase(offset.value); }
  void drop_below(Offset start) {
    records_.erase(records_.begin(), records_.lower_bound(start.value));
    start_ = std::max(start_, start.value);
    end_ = std::max(end_, start_);
  }
  [[nodiscard]] Offset start() const { return Offset{start_}; }
  [[nodiscard]] Offset end() const { return Offset{end_}; }
  [[nodiscard]] const Message* find(Offset offset) const {
    const auto found = records_.find(offset.value);
    return found == records_.end() ? nullptr : &found->second;
  }

  // Up to `most` records from `from` on, as a reader hands them to the engine.
  [[nodiscard]] ReadChunk read(Offset from, std::size_t most = std::numeric_limits<std::size_t>::max()) const {
    auto batch = std::make_shared<RecordBatch>();
    std::vector<Offset> offsets;
    auto it = records_.lower_bound(from.value);
    for (; it != records_.end() && offsets.size() < most; ++it) {
      const std::string headers = encode_headers(it->second.headers);
      append_record(batch->buffer, view_of(it->second, headers));
      offsets.push_back(Offset{it->first});
    }
    std::string_view bytes = batch->buffer;
    for (const Offset offset : offsets) {
      auto record = take_record(bytes);
      CHECK(record.has_value());
      record->offset = offset;
      batch->records.push_back(*record);
    }
    const std::int64_t next = it == records_.end() ? std::max(end_, from.value) : it->first;
    return {batch, Offset{next}, start(), from, it == records_.end()};
  }

 private:
  std::map<std::int64_t, Message> records_;
  std::int64_t start_ = 0;
  std::int64_t end_ = 0;
};

}  // namespace dhub::delivery
