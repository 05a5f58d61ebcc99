// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/store.h"

#include <cstdio>
#include <unistd.h>
#include <utility>

#include "store/sqlite/catalog.h"
#include "store/sqlite/clean_up.h"
#include "store/sqlite/directory_lock.h"
#include "store/sqlite/disk_reserve.h"
#include "store/sqlite/journal.h"
#include "store/sqlite/outbox.h"
#include "store/sqlite/outbox_rows.h"
#include "store/sqlite/readers.h"
#include "store/sqlite/run_archive.h"
#include "store/sqlite/schema.h"
#include "store/sqlite/topic_log.h"
#include "store/sqlite/topic_registry.h"
#include "store/sqlite/watches.h"
#include "store/sqlite/writer.h"

namespace dhub::store {
namespace {

constexpr std::uint64_t kPageSize = 8192;

// No destructor may run: it could write to a disk that has just failed.
void end_process(const std::string& why) {
  std::fprintf(stderr, "level=error msg=\"the store cannot be trusted any more, stopping\" reason=\"%s\"\n",
               why.c_str());
  std::fflush(stderr);
  _exit(1);
}

// A name that is none belongs to the store, which refuses it.
std::string named_cluster(const std::string& topic) {
  auto name = parse_topic_name(topic);
  return name ? std::move(name->cluster) : std::string();
}

// With one word for the store's own topics.
ClusterOf only_others(ClusterOf cluster_of) {
  return [cluster_of = std::move(cluster_of)](const std::string& topic) {
    auto cluster = cluster_of(topic);
    return cluster == kEmbeddedCluster ? std::string() : cluster;
  };
}

}  // namespace

struct Store::Parts {
  Parts(StoreOptions given, DirectoryLock held, std::unique_ptr<Connection> db,
        std::unique_ptr<RunArchiveFile> run_archive, OutboxTracker::Backlogs waiting)
      : options(std::move(given)),
        lock(std::move(held)),
        watches(std::make_shared<Watches>()),
        outbox_tracker(std::make_shared<OutboxTracker>(std::move(waiting))),
        readers(options.data_dir + "/store.db", options.vfs),
        archive(std::move(run_archive)),
        writer(std::move(db), writer_options()),
        topics(writer, readers, watches, DiskReserve(options.disk_reserve_bytes, options.free_disk_bytes)),
        journal(writer, readers, outbox_tracker, only_others(options.cluster_of)),
        catalog(writer, readers),
        outbox(writer, readers, outbox_tracker),
        registry(writer, readers) {}

  WriterOptions writer_options() {
    WriterOptions writing;
    writing.clock = options.clock;
    writing.on_fatal = options.on_fatal;
    writing.on_growth = [this](const std::vector<GrownPartition>& grown) { watches->grew(grown); };
    writing.clean_up = [this](WriteContext& context) { return clean_up.slice(context); };
    writing.clean_up_every = options.clean_up_every;
    writing.longest_wait = options.longest_wait;
    return writing;
  }

  const StoreOptions options;
  const DirectoryLock lock;  // let go of last
  std::shared_ptr<Watches> watches;
  std::shared_ptr<OutboxTracker> outbox_tracker;  // shared with watches, which may outlive us
  CleanUp clean_up;
  Readers readers;
  std::unique_ptr<RunArchiveFile> archive;
  Writer writer;  // its thread uses what stands above
  TopicLog topics;
  PositionJournal journal;
  StoreCatalog catalog;
  StoreOutbox outbox;
  StoreTopicRegistry registry;
};

Result<std::unique_ptr<Store>> Store::open(StoreOptions options) {
  if (!options.on_fatal) options.on_fatal = end_process;
  if (!options.free_disk_bytes)
    options.free_disk_bytes = [directory = options.data_dir] { return free_disk_bytes(directory); };
  if (!options.cluster_of) options.cluster_of = named_cluster;
  RETURN_IF_ERROR(make_directory(options.data_dir));
  ASSIGN_OR_RETURN(auto lock, DirectoryLock::acquire(options.data_dir));
  ASSIGN_OR_RETURN(auto db, open_store_file(options.data_dir + "/store.db", options.vfs));
  // The log that a dead process left may be in the system's memory only, after a sync that failed. Copying it and
  // beginning a new one puts all of it on the disk before anything is built on it.
  RETURN_IF_ERROR(db->checkpoint(true));
  ASSIGN_OR_RETURN(auto waiting, outbox_backlogs(*db));
  ArchiveOptions archive{options.data_dir + "/runs.db", options.vfs, options.run_detail_bytes, options.run_detail_age,
                         options.clock};
  ASSIGN_OR_RETURN(auto run_archive, RunArchiveFile::open(std::move(archive)));
  return std::unique_ptr<Store>(new Store(std::make_unique<Parts>(std::move(options), std::move(lock), std::move(db),
                                                                  std::move(run_archive), std::move(waiting))));
}

Store::Store(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Store::~Store() {
  stop();
}

EventLog& Store::event_log() {
  return parts_->topics;
}

Journal& Store::journal() {
  return parts_->journal;
}

Catalog& Store::catalog() {
  return parts_->catalog;
}

RunArchive& Store::run_archive() {
  return *parts_->archive;
}

Outbox& Store::outbox() {
  return parts_->outbox;
}

TopicRegistry& Store::topic_registry() {
  return parts_->registry;
}

void Store::stop() {
  // Readers first: the last connection that closes puts the log away, and only the writer may.
  parts_->readers.close();
  parts_->writer.stop();
  parts_->archive->stop();
}

Status Store::clean_up() {
  for (;;) {
    const auto more = parts_->writer.call<bool>(
        WriteKind::Control, [this](WriteContext& context) { return parts_->clean_up.slice(context); });
    if (!more) return fail(more.error());
    if (!*more) return {};
  }
}

StoreCounters Store::counters() const {
  const WriterCounters writer = parts_->writer.counters();
  StoreCounters counters;
  counters.transactions = writer.transactions;
  counters.requests = writer.requests;
  counters.refused = writer.refused;
  counters.rolled_back = writer.rolled_back;
  counters.checkpoints = writer.checkpoints;
  counters.wal_bytes = writer.wal_pages * kPageSize;
  counters.queued_requests = writer.queued_requests;
  counters.queued_bytes = writer.queued_bytes;
  counters.messages = writer.messages;
  counters.message_bytes = writer.message_bytes;
  counters.run_details = parts_->archive->written();
  counters.run_details_dropped = parts_->archive->dropped();
  const Outbox::Backlog waiting = parts_->outbox_tracker->total();
  counters.outbox_entries = static_cast<std::uint64_t>(waiting.entries);
  counters.outbox_bytes = static_cast<std::uint64_t>(waiting.bytes);
  return counters;
}

}  // namespace dhub::store
