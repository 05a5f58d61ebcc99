// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "ports/catalog.h"
#include "ports/event_log.h"
#include "ports/journal.h"
#include "ports/outbox.h"
#include "ports/run_archive.h"
#include "ports/topic_registry.h"

namespace dhub::store {

struct StoreOptions {
  std::string data_dir;                            // made (0700) when it is not there
  std::uint64_t disk_reserve_bytes = 64ULL << 20;  // below it publishing answers StorageFull
  std::string vfs;                                 // name of a registered SQLite VFS; empty: the system's
  std::function<Now()> clock = read_clocks;
  // A commit failed with an I/O error: nothing is acked any more. None: says so on stderr and ends the process.
  std::function<void(std::string)> on_fatal;
  // None: asks the file system of the data directory.
  std::function<std::uint64_t()> free_disk_bytes;
  std::uint64_t run_detail_bytes = 256ULL << 20;
  Duration run_detail_age = std::chrono::hours(24 * 7);
  Duration clean_up_every = std::chrono::seconds(5);
  Duration longest_wait = std::chrono::seconds(10);  // of a call that changes something; then it is OutcomeUnknown
  // Which cluster a step's publication goes to, by the topic that it names; empty or "embedded": a topic of this store.
  // Asked by the threads that commit. None: the cluster that the name begins with, if it does.
  std::function<std::string(const std::string& topic)> cluster_of;
};

struct StoreCounters {
  std::uint64_t transactions = 0;  // durable commits, one fsync each
  std::uint64_t requests = 0;      // answered by the writer
  std::uint64_t refused = 0;       // turned away because its queue was full
  std::uint64_t rolled_back = 0;   // transactions lost to a full disk
  std::uint64_t checkpoints = 0;
  std::uint64_t wal_bytes = 0;
  std::uint64_t queued_requests = 0;
  std::uint64_t queued_bytes = 0;
  std::uint64_t messages = 0;       // appended
  std::uint64_t message_bytes = 0;  // of their batches
  std::uint64_t run_details = 0;
  std::uint64_t run_details_dropped = 0;
  std::uint64_t outbox_entries = 0;  // waiting for topics of other clusters
  std::uint64_t outbox_bytes = 0;
};

// The embedded store: topics, journal and catalog in one file with one writer, run details in a second one. Holds the
// data directory's lock for its life. Thread-safe. docs/specs/store.md.
class Store {
 public:
  // Conflict: another server has the directory. Unsupported: written by a newer program. Corruption: damaged.
  static Result<std::unique_ptr<Store>> open(StoreOptions options);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  [[nodiscard]] EventLog& event_log();
  [[nodiscard]] Journal& journal();
  [[nodiscard]] Catalog& catalog();
  [[nodiscard]] RunArchive& run_archive();
  [[nodiscard]] Outbox& outbox();
  [[nodiscard]] TopicRegistry& topic_registry();

  // Answers what is queued, then closes the files; later calls answer Cancelled. Idempotent.
  void stop();
  // Removes what retention and deletions have left, all of it, now.
  Status clean_up();
  [[nodiscard]] StoreCounters counters() const;

 private:
  struct Parts;
  explicit Store(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace dhub::store
