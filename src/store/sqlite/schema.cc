// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/schema.h"

#include <fmt/format.h>
#include <iterator>

namespace dhub::store {
namespace {

// Page size and vacuum mode count only before the first table is made.
constexpr const char* kNewFile = "PRAGMA page_size=8192; PRAGMA auto_vacuum=INCREMENTAL;";

constexpr const char* kStoreConnection =
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA secure_delete=OFF; PRAGMA temp_store=MEMORY;"
    "PRAGMA cache_size=-65536; PRAGMA journal_size_limit=67108864; PRAGMA foreign_keys=OFF;";

constexpr const char* kArchiveConnection =
    "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA secure_delete=OFF; PRAGMA temp_store=MEMORY;"
    "PRAGMA cache_size=-8192; PRAGMA journal_size_limit=16777216;";

// What version 2 brought, in a new file and in one of version 1 alike.
#define DHUB_VERSION_2                                                                                      \
  "CREATE UNIQUE INDEX topics_by_name ON topics (namespace, name) WHERE deleted_ms IS NULL AND cluster='';" \
  "CREATE UNIQUE INDEX topics_elsewhere ON topics (namespace, cluster, name, identity) WHERE cluster<>'';"  \
  "CREATE TABLE outbox (number INTEGER PRIMARY KEY AUTOINCREMENT, namespace INTEGER NOT NULL DEFAULT 0, "   \
  "topic TEXT NOT NULL, record BLOB NOT NULL);"                                                             \
  "CREATE INDEX outbox_by_topic ON outbox (topic);"

constexpr const char* kStoreTables = R"sql(
CREATE TABLE topics (
  uid INTEGER PRIMARY KEY AUTOINCREMENT,
  namespace INTEGER NOT NULL DEFAULT 0,
  name TEXT NOT NULL,
  partitions INTEGER NOT NULL,
  retention_age_ns INTEGER NOT NULL,
  retention_bytes INTEGER NOT NULL,
  created_ms INTEGER NOT NULL,
  deleted_ms INTEGER,
  cluster TEXT NOT NULL DEFAULT '',
  identity TEXT NOT NULL DEFAULT ''
);

CREATE TABLE partitions (
  topic_uid INTEGER NOT NULL,
  partition INTEGER NOT NULL,
  namespace INTEGER NOT NULL DEFAULT 0,
  start_offset INTEGER NOT NULL DEFAULT 0,
  next_offset INTEGER NOT NULL DEFAULT 0,
  bytes INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (topic_uid, partition)
) WITHOUT ROWID;

CREATE TABLE batches (
  id INTEGER PRIMARY KEY,
  namespace INTEGER NOT NULL DEFAULT 0,
  topic_uid INTEGER NOT NULL,
  partition INTEGER NOT NULL,
  base_offset INTEGER NOT NULL,
  count INTEGER NOT NULL,
  max_timestamp_ms INTEGER NOT NULL,
  data BLOB NOT NULL
);
CREATE UNIQUE INDEX batches_by_offset ON batches (topic_uid, partition, base_offset);

CREATE TABLE idempotency (
  topic_uid INTEGER NOT NULL,
  key TEXT NOT NULL,
  namespace INTEGER NOT NULL DEFAULT 0,
  fingerprint BLOB NOT NULL,
  placements BLOB NOT NULL,
  created_ms INTEGER NOT NULL,
  PRIMARY KEY (topic_uid, key)
) WITHOUT ROWID;
CREATE INDEX idempotency_by_age ON idempotency (created_ms);

CREATE TABLE pipelines (
  uid INTEGER PRIMARY KEY AUTOINCREMENT,
  namespace INTEGER NOT NULL DEFAULT 0,
  id TEXT NOT NULL,
  newest_version INTEGER NOT NULL,
  last_dead_letter INTEGER NOT NULL DEFAULT 0,
  created_ms INTEGER NOT NULL,
  deleted_ms INTEGER
);
CREATE UNIQUE INDEX pipelines_by_id ON pipelines (namespace, id) WHERE deleted_ms IS NULL;

CREATE TABLE pipeline_versions (
  pipeline_uid INTEGER NOT NULL,
  version INTEGER NOT NULL,
  namespace INTEGER NOT NULL DEFAULT 0,
  name TEXT NOT NULL,
  steps_json TEXT NOT NULL,
  options_json TEXT NOT NULL,
  metadata_json TEXT NOT NULL,
  created_ms INTEGER NOT NULL,
  PRIMARY KEY (pipeline_uid, version)
);

CREATE TABLE triggers (
  pipeline_uid INTEGER PRIMARY KEY,
  namespace INTEGER NOT NULL DEFAULT 0,
  generation INTEGER NOT NULL,
  version INTEGER NOT NULL,
  topic_uid INTEGER NOT NULL,
  topic_name TEXT NOT NULL,
  position_uid INTEGER NOT NULL,
  desired INTEGER NOT NULL,
  started_ms INTEGER NOT NULL,
  revision INTEGER NOT NULL DEFAULT 1
);

CREATE TABLE positions (
  uid INTEGER PRIMARY KEY AUTOINCREMENT,
  namespace INTEGER NOT NULL DEFAULT 0,
  pipeline_uid INTEGER NOT NULL,
  topic_uid INTEGER NOT NULL,
  owner_epoch INTEGER NOT NULL DEFAULT 0,
  pass INTEGER NOT NULL DEFAULT 1,
  last_seq INTEGER NOT NULL DEFAULT 0,
  clean INTEGER NOT NULL DEFAULT 1,
  succeeded INTEGER NOT NULL DEFAULT 0,
  filtered INTEGER NOT NULL DEFAULT 0,
  dead_lettered INTEGER NOT NULL DEFAULT 0,
  expired INTEGER NOT NULL DEFAULT 0,
  skipped INTEGER NOT NULL DEFAULT 0,
  absent INTEGER NOT NULL DEFAULT 0,
  created_ms INTEGER NOT NULL,
  deleted_ms INTEGER
);
CREATE UNIQUE INDEX positions_by_owner ON positions (pipeline_uid, topic_uid) WHERE deleted_ms IS NULL;

CREATE TABLE position_partitions (
  position_uid INTEGER NOT NULL,
  partition INTEGER NOT NULL,
  namespace INTEGER NOT NULL DEFAULT 0,
  first_offset INTEGER NOT NULL,
  cursor INTEGER NOT NULL,
  dispatched_through INTEGER NOT NULL,
  suspect_border INTEGER NOT NULL DEFAULT 0,
  older_suspect_border INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (position_uid, partition)
) WITHOUT ROWID;

CREATE TABLE ledger (
  position_uid INTEGER NOT NULL,
  partition INTEGER NOT NULL,
  page INTEGER NOT NULL,
  namespace INTEGER NOT NULL DEFAULT 0,
  state INTEGER NOT NULL,
  states BLOB,
  pages INTEGER NOT NULL DEFAULT 1,
  PRIMARY KEY (position_uid, partition, page)
) WITHOUT ROWID;

CREATE TABLE failures (
  id INTEGER PRIMARY KEY,
  namespace INTEGER NOT NULL DEFAULT 0,
  position_uid INTEGER NOT NULL,
  partition INTEGER NOT NULL,
  offset INTEGER NOT NULL,
  charged INTEGER NOT NULL,
  kills INTEGER NOT NULL DEFAULT 0,
  retry_at_ms INTEGER NOT NULL,
  step INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  version INTEGER NOT NULL,
  results BLOB NOT NULL,
  first_error TEXT NOT NULL,
  last_error TEXT NOT NULL,
  record BLOB NOT NULL
);
CREATE UNIQUE INDEX failures_by_offset ON failures (position_uid, partition, offset);

CREATE TABLE start_marks (
  position_uid INTEGER NOT NULL,
  partition INTEGER NOT NULL,
  offset INTEGER NOT NULL,
  namespace INTEGER NOT NULL DEFAULT 0,
  delivery INTEGER NOT NULL,
  PRIMARY KEY (position_uid, partition, offset)
) WITHOUT ROWID;

CREATE TABLE dead_letters (
  id INTEGER PRIMARY KEY,
  namespace INTEGER NOT NULL DEFAULT 0,
  pipeline_uid INTEGER NOT NULL,
  number INTEGER NOT NULL,
  position_uid INTEGER NOT NULL,
  pass INTEGER NOT NULL,
  partition INTEGER NOT NULL,
  offset INTEGER NOT NULL,
  topic TEXT NOT NULL,
  record BLOB NOT NULL,
  attempts INTEGER NOT NULL,
  reason INTEGER NOT NULL,
  version INTEGER NOT NULL,
  step TEXT NOT NULL,
  first_error TEXT NOT NULL,
  last_error TEXT NOT NULL,
  trace TEXT NOT NULL,
  created_ms INTEGER NOT NULL
);
CREATE UNIQUE INDEX dead_letters_by_number ON dead_letters (pipeline_uid, number);
)sql" DHUB_VERSION_2;

// Element i makes a store of version i + 2 from one of version i + 1.
constexpr const char* kStoreUpgrades[] = {
    "ALTER TABLE topics ADD COLUMN cluster TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE topics ADD COLUMN identity TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE ledger ADD COLUMN pages INTEGER NOT NULL DEFAULT 1;"
    "DROP INDEX topics_by_name;" DHUB_VERSION_2,
    "",  // rows of the ledger may stand for many pages, which older programs do not look for
    "ALTER TABLE triggers ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;",
};
static_assert(std::size(kStoreUpgrades) == kStoreVersion - 1);

constexpr const char* kArchiveTables = R"sql(
CREATE TABLE attempts (
  sequence INTEGER PRIMARY KEY AUTOINCREMENT,
  namespace INTEGER NOT NULL DEFAULT 0,
  position_uid INTEGER NOT NULL,
  pass INTEGER NOT NULL,
  partition INTEGER NOT NULL,
  offset INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  delivery INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  version INTEGER NOT NULL,
  instance INTEGER NOT NULL,
  started_ms INTEGER NOT NULL,
  duration_us INTEGER NOT NULL,
  step TEXT NOT NULL,
  error TEXT NOT NULL,
  trace TEXT NOT NULL,
  log TEXT NOT NULL,
  key BLOB NOT NULL
);
CREATE INDEX attempts_by_position ON attempts (position_uid, sequence);
CREATE INDEX attempts_by_offset ON attempts (position_uid, partition, offset);
)sql";

// One of the two kinds of file.
struct Layout {
  const char* connection;
  const char* tables;
  std::int64_t version;
  const char* const* upgrades;
};
constexpr Layout kStore{kStoreConnection, kStoreTables, kStoreVersion, kStoreUpgrades};
constexpr Layout kArchive{kArchiveConnection, kArchiveTables, 1, nullptr};

Result<std::int64_t> number_of(Connection& db, const char* pragma) {
  Query row = db.query(pragma);
  const std::int64_t value = row.next() ? row.integer(0) : 0;
  RETURN_IF_ERROR(row.status());
  return value;
}

Status make_tables(Connection& db, const Layout& layout) {
  RETURN_IF_ERROR(db.execute(kNewFile));
  RETURN_IF_ERROR(db.execute(layout.connection));
  RETURN_IF_ERROR(db.execute("BEGIN IMMEDIATE"));
  RETURN_IF_ERROR(db.execute(layout.tables));
  // The version is the last thing written: a file without it is made anew.
  const std::string stamp =
      fmt::format("PRAGMA application_id={}; PRAGMA user_version={}; COMMIT", kApplicationId, layout.version);
  return db.execute(stamp.c_str());
}

// All the steps or none: the connection that fails here is closed, which rolls back. What a dead process left in the
// log is put on the disk first, as nothing may be built on it before.
Status upgrade(Connection& db, const Layout& layout, std::int64_t from) {
  RETURN_IF_ERROR(db.checkpoint(true));
  RETURN_IF_ERROR(db.execute("BEGIN IMMEDIATE"));
  for (std::int64_t version = from; version < layout.version; ++version)
    RETURN_IF_ERROR(db.execute(layout.upgrades[version - 1]));
  const std::string stamp = fmt::format("PRAGMA user_version={}; COMMIT", layout.version);
  return db.execute(stamp.c_str());
}

// Some file systems cannot share memory, and SQLite then keeps another journal without a word.
Status check_log_mode(Connection& db) {
  Query row = db.query("PRAGMA journal_mode");
  const bool wal = row.next() && row.text(0) == "wal";
  RETURN_IF_ERROR(row.status());
  if (wal) return {};
  return fail(ErrorCode::InvalidArgument,
              "The data directory's file system cannot hold a write-ahead log; choose a local disk with --data.");
}

Result<std::unique_ptr<Connection>> open_file(const std::string& path, const std::string& vfs, const Layout& layout) {
  ASSIGN_OR_RETURN(auto db, Connection::open(path, OpenMode::ReadWriteCreate, vfs));
  ASSIGN_OR_RETURN(const std::int64_t application, number_of(*db, "PRAGMA application_id"));
  ASSIGN_OR_RETURN(const std::int64_t version, number_of(*db, "PRAGMA user_version"));
  ASSIGN_OR_RETURN(const std::int64_t objects, number_of(*db, "SELECT count(*) FROM sqlite_schema"));
  if (application == 0 && version == 0 && objects == 0) {
    RETURN_IF_ERROR(make_tables(*db, layout));
    RETURN_IF_ERROR(check_log_mode(*db));
    return db;
  }
  if (application != kApplicationId || version < 1)
    return fail(ErrorCode::Corruption,
                "The data directory holds a store that is not dhub's; choose another with --data.");
  if (version > layout.version)
    return fail(ErrorCode::Unsupported,
                fmt::format("The data directory was written by a newer dhub (store version {}, this program knows up "
                            "to {}); run that version, or choose another directory with --data.",
                            version, layout.version));
  RETURN_IF_ERROR(db->execute(layout.connection));
  RETURN_IF_ERROR(check_log_mode(*db));
  if (version < layout.version) RETURN_IF_ERROR(upgrade(*db, layout, version));
  return db;
}

}  // namespace

Result<std::unique_ptr<Connection>> open_store_file(const std::string& path, const std::string& vfs) {
  return open_file(path, vfs, kStore);
}

Result<std::unique_ptr<Connection>> open_archive_file(const std::string& path, const std::string& vfs) {
  return open_file(path, vfs, kArchive);
}

}  // namespace dhub::store
