// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/appender.h"

#include <algorithm>

#include "base/check.h"
#include "store/sqlite/topic_rows.h"

namespace dhub::store {
namespace {

constexpr std::size_t kBatchClosesAt = 256U << 10;
constexpr std::size_t kMostHeads = 4096;

}  // namespace

Result<Appender::Head*> Appender::topic(const std::string& name, bool create, WallTime now) {
  if (const auto known = heads_.find(name); known != heads_.end()) return &known->second;
  auto topic = find_topic(db_, name);
  if (!topic && topic.error().code == ErrorCode::NotFound && create) {
    topic = insert_topic(db_, name, TopicSettings{}, now);
    if (topic) made_.push_back(name);
  }
  if (!topic) return fail(std::move(topic.error()));
  Head head{topic->uid, {}, 0};
  for (const auto& range : topic->partitions) head.next.push_back(range.end.value);
  return &(heads_[name] = std::move(head));
}

std::vector<Placement> Appender::stage(Head& head, const EncodedMessages& messages, WallTime now) {
  const auto partitions = static_cast<std::int32_t>(head.next.size());
  const PartitionId keyless{static_cast<std::int32_t>(head.keyless_turn++ % static_cast<std::uint64_t>(partitions))};
  std::vector<Placement> placements;
  placements.reserve(messages.count());
  std::string_view rest = messages.bytes;
  for (const std::uint32_t size : messages.sizes) {
    const std::string_view bytes = rest.substr(0, size);
    rest.remove_prefix(size);
    Placement placement{keyless, {}};
    if (partitions > 1) {
      std::string_view parsed = bytes;
      const auto record = take_record(parsed);
      CHECK(record.has_value());  // we encoded it
      if (record->key) placement.partition = partition_of(*record->key, partitions);
    }
    placement.offset = Offset{head.next[static_cast<std::size_t>(placement.partition.value)]++};
    append(head.uid, placement, bytes, now);
    placements.push_back(placement);
  }
  return placements;
}

void Appender::append(TopicUid topic, Placement placement, std::string_view record, WallTime now) {
  auto& batches = staged_[{topic.value, placement.partition.value}];
  if (batches.empty() || batches.back().data.size() + record.size() > kBatchClosesAt) {
    OpenBatch& fresh = batches.emplace_back();
    fresh.base = placement.offset.value;
    fresh.data.assign(kBatchHeaderBytes, '\0');
  }
  OpenBatch& batch = batches.back();
  const std::size_t at = batch.data.size();
  batch.data.append(record);
  std::int64_t timestamp = record_timestamp(record);
  if (timestamp == 0) {
    timestamp = now.ms;
    set_record_timestamp(batch.data.data() + at, now);
  }
  batch.newest_ms = batch.count == 0 ? timestamp : std::max(batch.newest_ms, timestamp);
  ++batch.count;
}

Status Appender::flush() {
  for (auto& [place, batches] : staged_) {
    std::int64_t next = 0;
    std::size_t bytes = 0;
    for (auto& batch : batches) {
      RETURN_IF_ERROR(write(place, batch));
      next = batch.base + batch.count;
      bytes += batch.data.size();
      fresh_messages_ += batch.count;
    }
    fresh_bytes_ += bytes;
    RETURN_IF_ERROR(db_.run("UPDATE partitions SET next_offset=?, bytes=bytes+? WHERE topic_uid=? AND partition=?",
                            next, bytes, place.first, place.second));
    CHECK(db_.changes() == 1);
    grown_.push_back({TopicUid{place.first}, PartitionId{place.second}});
  }
  staged_.clear();
  return {};
}

Status Appender::write(const Place& place, OpenBatch& batch) {
  seal_batch(batch.data, {TopicUid{place.first}, PartitionId{place.second}, Offset{batch.base}, batch.count});
  return db_.run(
      "INSERT INTO batches (topic_uid, partition, base_offset, count, max_timestamp_ms, data) VALUES (?,?,?,?,?,?)",
      place.first, place.second, batch.base, batch.count, batch.newest_ms, Blob{batch.data});
}

void Appender::undo_request() {
  for (const auto& name : made_) heads_.erase(name);
  made_.clear();
}

std::vector<GrownPartition> Appender::committed() {
  CHECK(staged_.empty());
  if (heads_.size() > kMostHeads) heads_.clear();
  made_.clear();
  messages_ += std::exchange(fresh_messages_, 0);
  bytes_ += std::exchange(fresh_bytes_, 0);
  std::sort(grown_.begin(), grown_.end());
  grown_.erase(std::unique(grown_.begin(), grown_.end()), grown_.end());
  return std::exchange(grown_, {});
}

void Appender::rolled_back() {
  staged_.clear();
  heads_.clear();
  made_.clear();
  grown_.clear();
  fresh_messages_ = 0;
  fresh_bytes_ = 0;
}

}  // namespace dhub::store
