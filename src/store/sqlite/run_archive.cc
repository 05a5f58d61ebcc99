// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/run_archive.h"

#include <filesystem>
#include <fmt/format.h>
#include <limits>

#include "store/sqlite/schema.h"

namespace dhub::store {
namespace {

constexpr std::int64_t kTrimSlice = 100;
constexpr int kCheckpointPages = 1000;
constexpr std::size_t kRowBytes = 200;

#define DHUB_ATTEMPT_COLUMNS                                                                        \
  "position_uid, pass, partition, offset, attempt, delivery, kind, version, instance, started_ms, " \
  "duration_us, step, error, trace, log, key"

std::size_t bytes_of(const AttemptDetail& attempt) {
  return kRowBytes + attempt.step.size() + attempt.error.size() + attempt.trace.size() + attempt.log.size() +
         attempt.key.size();
}

ArchivedAttempt attempt_of(const Query& row) {
  ArchivedAttempt archived;
  archived.sequence = row.integer(0);
  AttemptDetail& detail = archived.detail;
  detail.position = PositionUid{row.integer(1)};
  detail.run = {Pass{row.small(2)}, PartitionId{row.small(3)}, Offset{row.integer(4)}};
  detail.attempt = row.small(5);
  detail.delivery = DeliveryId{static_cast<std::uint64_t>(row.integer(6))};
  detail.kind = static_cast<OutcomeKind>(row.integer(7));
  detail.version = Version{row.small(8)};
  detail.instance = InstanceId{static_cast<std::uint64_t>(row.integer(9))};
  detail.started_at = WallTime{row.integer(10)};
  detail.duration_us = static_cast<std::uint32_t>(row.integer(11));
  detail.step = std::string(row.text(12));
  detail.error = std::string(row.text(13));
  detail.trace = std::string(row.text(14));
  detail.log = std::string(row.text(15));
  detail.key = std::string(row.blob(16));
  return archived;
}

Result<std::vector<ArchivedAttempt>> all_attempts(Query row) {
  std::vector<ArchivedAttempt> attempts;
  while (row.next()) attempts.push_back(attempt_of(row));
  RETURN_IF_ERROR(row.status());
  return attempts;
}

std::string json_array(const std::vector<PositionUid>& positions) {
  std::string text = "[";
  for (const auto& position : positions) text += fmt::format("{}{}", text.size() > 1 ? "," : "", position);
  return text + "]";
}

}  // namespace

Result<std::unique_ptr<RunArchiveFile>> RunArchiveFile::open(ArchiveOptions options) {
  auto db = open_archive_file(options.path, options.vfs);
  const bool replace = !db && (db.error().code == ErrorCode::Corruption || db.error().code == ErrorCode::Unsupported);
  if (replace) {
    std::error_code ignored;
    for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove(options.path + suffix, ignored);
    db = open_archive_file(options.path, options.vfs);
  }
  if (!db) return fail(std::move(db.error()));
  return std::unique_ptr<RunArchiveFile>(new RunArchiveFile(std::move(options), std::move(*db)));
}

RunArchiveFile::RunArchiveFile(ArchiveOptions options, std::unique_ptr<Connection> db)
    : options_(std::move(options)), db_(std::move(db)), readers_(options_.path, options_.vfs) {
  thread_ = std::jthread([this] { loop(); });
}

void RunArchiveFile::append(std::vector<AttemptDetail> attempts) {
  std::lock_guard lock(mutex_);
  for (auto& attempt : attempts) {
    const std::size_t bytes = bytes_of(attempt);
    if (stopping_ || queue_.size() >= options_.most_queued || queued_bytes_ + bytes > options_.most_queued_bytes) {
      dropped_.fetch_add(1, std::memory_order_relaxed);
      continue;
    }
    queued_bytes_ += bytes;
    ++queued_ever_;
    queue_.push_back(std::move(attempt));
  }
  wake_.notify_one();
}

void RunArchiveFile::flush() {
  std::unique_lock lock(mutex_);
  const std::uint64_t until = queued_ever_;
  progressed_.wait(lock, [&] { return finished_ever_ >= until; });
}

void RunArchiveFile::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    wake_.notify_one();
  }
  readers_.close();
  if (thread_.joinable()) thread_.join();
  db_.reset();
}

void RunArchiveFile::loop() {
  for (;;) {
    std::deque<AttemptDetail> attempts;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      attempts.swap(queue_);
      queued_bytes_ = 0;
    }
    (write(attempts) ? written_ : dropped_).fetch_add(attempts.size(), std::memory_order_relaxed);
    trim_all();
    // A checkpoint that fails is tried again after the next write.
    if (db_->wal_pages() >= kCheckpointPages) static_cast<void>(db_->checkpoint(false));
    std::lock_guard lock(mutex_);
    finished_ever_ += attempts.size();
    progressed_.notify_all();
  }
}

Status RunArchiveFile::write(const std::deque<AttemptDetail>& attempts) {
  Status status = db_->run("BEGIN IMMEDIATE");
  for (auto attempt = attempts.begin(); status && attempt != attempts.end(); ++attempt) status = insert(*attempt);
  if (status) status = db_->run("COMMIT");
  if (!status && db_->in_transaction()) static_cast<void>(db_->run("ROLLBACK"));
  return status;
}

Status RunArchiveFile::insert(const AttemptDetail& attempt) {
  return db_->run("INSERT INTO attempts (" DHUB_ATTEMPT_COLUMNS ") VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
                  attempt.position, attempt.run.pass, attempt.run.partition, attempt.run.offset, attempt.attempt,
                  attempt.delivery, attempt.kind, attempt.version, attempt.instance, attempt.started_at.ms,
                  attempt.duration_us, attempt.step, attempt.error, attempt.trace, attempt.log, Blob{attempt.key});
}

void RunArchiveFile::trim_all() {
  for (;;) {
    const auto more = trim();
    if (!more || !*more) return;
  }
}

Result<bool> RunArchiveFile::trim() {
  std::int64_t used_pages = 0;
  {
    Query pages = db_->query(
        "SELECT (SELECT page_count FROM pragma_page_count) - "
        "(SELECT freelist_count FROM pragma_freelist_count)");
    if (pages.next()) used_pages = pages.integer(0);
    RETURN_IF_ERROR(pages.status());
  }
  constexpr std::int64_t kPageSize = 8192;
  const bool too_large = static_cast<std::uint64_t>(used_pages * kPageSize) > options_.most_bytes;
  const std::int64_t oldest_ms =
      options_.clock().wall.ms - std::chrono::duration_cast<milliseconds>(options_.most_age).count();
  // Arrival is about the order of starting, so only the oldest arrivals are looked at.
  RETURN_IF_ERROR(
      db_->run("DELETE FROM attempts WHERE sequence IN (SELECT sequence FROM attempts ORDER BY sequence LIMIT ?1) AND "
               "(?2 OR started_ms<?3)",
               kTrimSlice, too_large, oldest_ms));
  return db_->changes() == kTrimSlice;
}

Result<std::vector<ArchivedAttempt>> RunArchiveFile::attempts(const std::vector<PositionUid>& positions,
                                                              const RunFilter& filter) const {
  return with_reader(readers_, [&](Connection& db) {
    std::optional<Blob> key;
    if (filter.key) key = Blob{*filter.key};
    return all_attempts(
        db.query("SELECT sequence, " DHUB_ATTEMPT_COLUMNS
                 " FROM attempts WHERE position_uid IN (SELECT value FROM json_each(?1)) AND sequence<?2 "
                 "AND (?3 IS NULL OR kind=?3) AND (?4 IS NULL OR key=?4) AND (?5 IS NULL OR instr(error, ?5)>0) "
                 "AND (?6 IS NULL OR partition=?6) AND (?7 IS NULL OR offset=?7) ORDER BY sequence DESC LIMIT ?8",
                 json_array(positions), filter.before > 0 ? filter.before : std::numeric_limits<std::int64_t>::max(),
                 filter.kind, key, filter.error_text, filter.partition, filter.offset, filter.limit));
  });
}

Result<std::vector<ArchivedAttempt>> RunArchiveFile::run(PositionUid position, const RunId& run) const {
  return with_reader(readers_, [&](Connection& db) {
    return all_attempts(db.query("SELECT sequence, " DHUB_ATTEMPT_COLUMNS
                                 " FROM attempts WHERE position_uid=? AND partition=? AND offset=? AND pass=? "
                                 "ORDER BY sequence",
                                 position, run.partition, run.offset, run.pass));
  });
}

}  // namespace dhub::store
