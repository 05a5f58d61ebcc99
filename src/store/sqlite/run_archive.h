// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/time.h"
#include "ports/run_archive.h"
#include "store/sqlite/readers.h"
#include "store/sqlite/sqlite.h"

namespace dhub::store {

struct ArchiveOptions {
  std::string path;
  std::string vfs;
  std::uint64_t most_bytes = 256ULL << 20;
  Duration most_age = std::chrono::hours(24 * 7);
  std::function<Now()> clock;
  std::size_t most_queued = 20000;
  std::size_t most_queued_bytes = 32U << 20;
};

// Run details in a file of their own, which is not synced with every commit and may be thrown away: a damaged one is
// replaced by an empty one. One thread writes; a ring by size and age.
class RunArchiveFile : public RunArchive {
 public:
  static Result<std::unique_ptr<RunArchiveFile>> open(ArchiveOptions options);
  ~RunArchiveFile() override { stop(); }

  void append(std::vector<AttemptDetail> attempts) override;
  Result<std::vector<ArchivedAttempt>> attempts(const std::vector<PositionUid>& positions,
                                                const RunFilter& filter) const override;
  Result<std::vector<ArchivedAttempt>> run(PositionUid position, const RunId& run) const override;
  void flush() override;

  // Writes what is queued and ends. Idempotent.
  void stop();
  // Attempts that were not kept: the queue was full, or the disk did not take them.
  [[nodiscard]] std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t written() const { return written_.load(std::memory_order_relaxed); }

 private:
  RunArchiveFile(ArchiveOptions options, std::unique_ptr<Connection> db);
  void loop();
  Status write(const std::deque<AttemptDetail>& attempts);
  Status insert(const AttemptDetail& attempt);
  // Removes a slice of what is over the budget; true when there may be more.
  Result<bool> trim();
  void trim_all();

  const ArchiveOptions options_;
  std::unique_ptr<Connection> db_;  // the thread's
  mutable Readers readers_;
  std::atomic<std::uint64_t> dropped_{0};
  std::atomic<std::uint64_t> written_{0};

  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable progressed_;
  std::deque<AttemptDetail> queue_;
  std::size_t queued_bytes_ = 0;
  std::uint64_t queued_ever_ = 0;
  std::uint64_t finished_ever_ = 0;  // written or given up
  bool stopping_ = false;

  std::jthread thread_;
};

}  // namespace dhub::store
