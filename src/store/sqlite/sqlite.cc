// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/sqlite.h"

#include <fmt/format.h>

#include "base/check.h"

namespace dhub::store {
namespace {

constexpr int kBusyTimeoutMs = 5000;  // readers wait only while the log is recovered or restarted

StorageFailure failure_of(int code) {
  const int primary = code & 0xff;
  // The log's index grows in shared memory, which needs space as well.
  if (primary == SQLITE_FULL || code == SQLITE_IOERR_SHMSIZE) return StorageFailure::Full;
  if (primary == SQLITE_IOERR && code != SQLITE_IOERR_NOMEM) return StorageFailure::Io;
  return StorageFailure::None;
}

}  // namespace

Query::~Query() {
  if (statement_ == nullptr) return;
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

bool Query::next() {
  if (!status_) return false;
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code != SQLITE_DONE) status_ = fail(connection_->error(sqlite3_extended_errcode(connection_->db_)));
  return false;
}

std::string_view Query::text(int column) const {
  const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  return bytes == nullptr ? std::string_view()
                          : std::string_view(bytes, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column)));
}

std::string_view Query::blob(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_, column));
  return bytes == nullptr ? std::string_view()
                          : std::string_view(bytes, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column)));
}

Result<std::unique_ptr<Connection>> Connection::open(const std::string& path, OpenMode mode, const std::string& vfs) {
  const int flags = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
                    (mode == OpenMode::ReadOnly ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
  sqlite3* db = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &db, flags, vfs.empty() ? nullptr : vfs.c_str());
  if (db == nullptr) return fail(ErrorCode::Unavailable, "There is not enough memory to open the store.");
  std::unique_ptr<Connection> connection(new Connection(db));
  if (code != SQLITE_OK) return fail(connection->error(code));
  sqlite3_busy_timeout(db, kBusyTimeoutMs);
  // Takes the place of SQLite's own checkpoints, which would swallow I/O errors.
  sqlite3_wal_hook(
      db,
      [](void* self, sqlite3*, const char*, int pages) {
        static_cast<Connection*>(self)->wal_pages_ = pages;
        return SQLITE_OK;
      },
      connection.get());
  return connection;
}

Connection::~Connection() {
  for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
  CHECK(sqlite3_close(db_) == SQLITE_OK);  // anything else is a Query or a blob handle that outlives us
}

Status Connection::execute(const char* sql) {
  const int code = sqlite3_exec(db_, sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) return fail(error(sqlite3_extended_errcode(db_)));
  return {};
}

Query Connection::start(const char* sql) {
  sqlite3_stmt*& statement = statements_[sql];
  if (statement == nullptr &&
      sqlite3_prepare_v3(db_, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, nullptr) != SQLITE_OK)
    return Query(*this, nullptr, fail(error(sqlite3_extended_errcode(db_))));
  CHECK(sqlite3_stmt_busy(statement) == 0);
  return Query(*this, statement, {});
}

void Connection::check_bound(Query& running, int code) {
  if (code != SQLITE_OK) running.refuse(error(code));
}

void Connection::bind_text(Query& running, int index, std::string_view text, sqlite3_destructor_type lifetime) {
  const char* data = text.data() == nullptr ? "" : text.data();  // a null pointer would bind NULL
  check_bound(running, sqlite3_bind_text64(running.statement_, index, data, text.size(), lifetime, SQLITE_UTF8));
}

void Connection::bind_blob(Query& running, int index, std::string_view bytes, sqlite3_destructor_type lifetime) {
  const char* data = bytes.data() == nullptr ? "" : bytes.data();
  check_bound(running, sqlite3_bind_blob64(running.statement_, index, data, bytes.size(), lifetime));
}

Result<bool> Connection::checkpoint(bool restart) {
  int in_log = 0;
  int copied = 0;
  const int code = sqlite3_wal_checkpoint_v2(
      db_, "main", restart ? SQLITE_CHECKPOINT_RESTART : SQLITE_CHECKPOINT_PASSIVE, &in_log, &copied);
  if (code == SQLITE_BUSY) return false;
  if (code != SQLITE_OK) return fail(error(sqlite3_extended_errcode(db_)));
  return in_log == copied;
}

Error Connection::error(int code) {
  const StorageFailure failure = failure_of(code);
  if (failure != StorageFailure::None && failure_ != StorageFailure::Io) failure_ = failure;
  switch (failure) {
    case StorageFailure::Full:
      return {ErrorCode::StorageFull, "The disk is full; nothing was stored. Free some space and try again."};
    case StorageFailure::Io:
      return {ErrorCode::Internal, fmt::format("The disk failed under the store ({}, errno {}).", sqlite3_errstr(code),
                                               sqlite3_system_errno(db_))};
    case StorageFailure::None:
      break;
  }
  switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return {ErrorCode::Corruption, "The store is damaged; stop the server and restore it from a backup."};
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return {ErrorCode::Unavailable, "The store is busy; try again."};
    case SQLITE_NOMEM:
      return {ErrorCode::Unavailable, "There is not enough memory for this; try again."};
    case SQLITE_TOOBIG:
      return {ErrorCode::TooLarge, "This is larger than the store can hold in one piece."};
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
      return {ErrorCode::PermissionDenied,
              "The store cannot be opened for writing; check owner and rights of the data directory."};
    default:
      return {ErrorCode::Internal,
              fmt::format("The store refused a statement ({}, code {}).", sqlite3_errstr(code), code)};
  }
}

}  // namespace dhub::store
