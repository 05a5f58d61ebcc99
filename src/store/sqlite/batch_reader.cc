// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/batch_reader.h"

#include <algorithm>
#include <fmt/format.h>

#include "base/check.h"
#include "store/sqlite/batch_format.h"

namespace dhub::store {
namespace {

constexpr std::size_t kMostBytes = 16U << 20;  // of one read: keeps its transaction short

struct StoredBatch {
  std::int64_t id = 0;
  BatchHeader header;
  std::size_t size = 0;
};

struct Bounds {
  std::string topic;
  std::int64_t start = 0;
  std::int64_t end = 0;
};

Result<Bounds> bounds_of(Connection& db, const ReadRange& range) {
  Query row = db.query(
      "SELECT t.name, p.start_offset, p.next_offset FROM partitions p JOIN topics t ON t.uid=p.topic_uid "
      "WHERE p.topic_uid=? AND p.partition=? AND t.deleted_ms IS NULL",
      range.topic, range.partition);
  if (row.next()) return Bounds{std::string(row.text(0)), row.integer(1), row.integer(2)};
  RETURN_IF_ERROR(row.status());
  return fail(ErrorCode::NotFound,
              fmt::format("There is no partition {} of a topic with uid {}.", range.partition, range.topic));
}

// The batches from the one that holds `from` on, until they have `max_bytes`.
Result<std::vector<StoredBatch>> batches_from(Connection& db, const ReadRange& range, std::int64_t from) {
  std::vector<StoredBatch> batches;
  Query row = db.query(
      "SELECT id, base_offset, count, length(data) FROM batches WHERE topic_uid=?1 AND partition=?2 AND base_offset>="
      "(SELECT max(base_offset) FROM batches WHERE topic_uid=?1 AND partition=?2 AND base_offset<=?3) "
      "ORDER BY base_offset",
      range.topic, range.partition, from);
  std::size_t bytes = 0;
  while (bytes < range.max_bytes && row.next()) {
    StoredBatch batch;
    batch.id = row.integer(0);
    batch.header = {range.topic, range.partition, Offset{row.integer(1)}, static_cast<std::uint32_t>(row.integer(2))};
    batch.size = static_cast<std::size_t>(row.integer(3));
    const std::int64_t end = batch.header.base.value + batch.header.count;
    if (end <= from) continue;
    // Of the first one only what is at or past `from` counts, about.
    bytes += batch.header.base.value >= from
                 ? batch.size
                 : batch.size * static_cast<std::size_t>(end - from) / std::max<std::size_t>(batch.header.count, 1);
    batches.push_back(batch);
  }
  RETURN_IF_ERROR(row.status());
  return batches;
}

// Straight from SQLite's pages into the buffer.
class BlobCopier {
 public:
  explicit BlobCopier(Connection& db) : db_(db) {}
  ~BlobCopier() { sqlite3_blob_close(blob_); }
  BlobCopier(const BlobCopier&) = delete;
  BlobCopier& operator=(const BlobCopier&) = delete;

  Status copy(const StoredBatch& batch, char* to) {
    int code = blob_ == nullptr ? sqlite3_blob_open(db_.handle(), "main", "batches", "data", batch.id, 0, &blob_)
                                : sqlite3_blob_reopen(blob_, batch.id);
    if (code == SQLITE_OK) code = sqlite3_blob_read(blob_, to, static_cast<int>(batch.size), 0);
    if (code == SQLITE_OK) return {};
    return fail(db_.error(sqlite3_extended_errcode(db_.handle())));
  }

 private:
  Connection& db_;
  sqlite3_blob* blob_ = nullptr;
};

// Drops records before `from`, and those past `max_bytes` but for the first.
void keep_range(std::vector<RecordView>& records, std::int64_t from, std::size_t max_bytes) {
  const auto first = std::find_if(records.begin(), records.end(),
                                  [&](const RecordView& record) { return record.offset.value >= from; });
  records.erase(records.begin(), first);
  std::size_t bytes = 0;
  std::size_t kept = 0;
  while (kept < records.size() && (kept == 0 || bytes < max_bytes)) bytes += records[kept++].bytes() + kRecordOverhead;
  records.resize(kept);
}

// A held event must not keep a whole batch alive for the sake of a few of its records.
void compact(RecordBatch& batch) {
  if (batch.records.empty()) {
    batch.buffer.clear();
    return;
  }
  std::size_t used = 0;
  for (const auto& record : batch.records) used += record.bytes() + kRecordOverhead;
  if (used >= batch.buffer.size() / 2) return;
  std::string smaller;
  smaller.reserve(used);
  for (const auto& record : batch.records) append_record(smaller, record);
  batch.buffer = std::move(smaller);
  std::string_view rest = batch.buffer;
  for (auto& record : batch.records) {
    const Offset offset = record.offset;
    auto view = take_record(rest);
    CHECK(view.has_value());  // written above
    record = *view;
    record.offset = offset;
  }
}

tl::unexpected<Error> missing(const ReadRange& range, std::int64_t from, std::int64_t to) {
  return fail(ErrorCode::Corruption,
              fmt::format("offsets {} to {} of partition {} are missing on the disk.", from, to - 1, range.partition));
}

// Fills `batch` with what can be read without a gap; an error only when that is nothing.
Status fill(Connection& db, const std::vector<StoredBatch>& stored, RecordBatch& batch) {
  std::size_t total = 0;
  for (const auto& one : stored) total += one.size;
  batch.buffer.resize(total);
  BlobCopier blobs(db);
  std::size_t at = 0;
  std::int64_t reached = 0;
  for (const auto& one : stored) {
    if (!batch.records.empty() && one.header.base.value != reached) break;
    Status opened = blobs.copy(one, batch.buffer.data() + at);
    if (opened) opened = open_batch(std::string_view(batch.buffer).substr(at, one.size), one.header, batch.records);
    if (!opened && batch.records.empty()) return opened;
    if (!opened) break;
    at += one.size;
    reached = one.header.base.value + one.header.count;
  }
  return {};
}

Result<ReadResult> read_between(Connection& db, const ReadRange& range, const Bounds& bounds) {
  ASSIGN_OR_RETURN(const auto stored, batches_from(db, range, range.from.value));
  if (stored.empty()) return missing(range, range.from.value, bounds.end);
  if (stored.front().header.base > range.from)
    return missing(range, range.from.value, stored.front().header.base.value);
  auto batch = std::make_shared<RecordBatch>();
  RETURN_IF_ERROR(fill(db, stored, *batch));
  keep_range(batch->records, range.from.value, range.max_bytes);
  CHECK(!batch->records.empty());  // the first batch holds `from`
  compact(*batch);
  const Offset next{batch->records.back().offset.value + 1};
  return ReadResult{batch, next, next.value >= bounds.end, false, Offset{bounds.start}, Offset{bounds.end}};
}

}  // namespace

Result<ReadResult> read_records(Connection& db, const ReadRange& range) {
  ASSIGN_OR_RETURN(const Bounds bounds, bounds_of(db, range));
  const Offset from{std::max(range.from.value, bounds.start)};
  if (from.value >= bounds.end)
    return ReadResult{std::make_shared<RecordBatch>(), from, true, false, Offset{bounds.start}, Offset{bounds.end}};
  const std::size_t max_bytes = std::clamp<std::size_t>(range.max_bytes, 1, kMostBytes);
  auto result = read_between(db, {range.topic, range.partition, from, max_bytes}, bounds);
  if (!result && result.error().code == ErrorCode::Corruption)
    result.error().message = fmt::format("Topic '{}': {}", bounds.topic, result.error().message);
  return result;
}

}  // namespace dhub::store
