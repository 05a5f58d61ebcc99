// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <sqlite3.h>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>

#include "base/result.h"
#include "base/strong.h"

namespace dhub::store {

// Marks bytes that are bound as a BLOB and not as TEXT.
struct Blob {
  std::string_view bytes;
};

enum class OpenMode { ReadWriteCreate, ReadOnly };

// What went wrong below SQL since the last clear_failure(); sticky, because SQLite forgets it with the next call.
enum class StorageFailure {
  None,
  Full,  // the transaction is lost, the store is well
  Io,    // what is on the disk is not known any more
};

class Connection;

// A running statement. Gives its statement back to the connection's cache when it goes. Views of text and blob columns
// are valid until the next next().
class Query {
 public:
  // No statement: `status` says why.
  Query(Connection& connection, sqlite3_stmt* statement, Status status)
      : connection_(&connection), statement_(statement), status_(std::move(status)) {}
  Query(Query&& other) noexcept
      : connection_(other.connection_),
        statement_(std::exchange(other.statement_, nullptr)),
        status_(std::move(other.status_)) {}
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;
  Query& operator=(Query&&) = delete;
  ~Query();

  // Steps to the next row; false at the end and after an error.
  bool next();
  // Whether everything up to here went well.
  [[nodiscard]] const Status& status() const { return status_; }

  [[nodiscard]] std::int64_t integer(int column) const { return sqlite3_column_int64(statement_, column); }
  [[nodiscard]] std::int32_t small(int column) const { return sqlite3_column_int(statement_, column); }
  [[nodiscard]] std::string_view text(int column) const;
  [[nodiscard]] std::string_view blob(int column) const;
  [[nodiscard]] bool is_null(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }

 private:
  friend class Connection;
  void refuse(Error error) {
    if (status_) status_ = fail(std::move(error));
  }

  Connection* connection_;
  sqlite3_stmt* statement_;
  Status status_;
};

// One SQLite connection with its prepared statements. For one thread at a time. Every failure becomes an Error whose
// message names neither SQL nor a path.
class Connection {
 public:
  static Result<std::unique_ptr<Connection>> open(const std::string& path, OpenMode mode, const std::string& vfs);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // SQL without arguments, of one or more statements; not cached.
  Status execute(const char* sql);

  // `sql` must be a literal: its address is the key of the cache of prepared statements.
  template <typename... Args>
  Status run(const char* sql, const Args&... args) {
    Query running = start(sql);
    int index = 0;
    (bind(running, ++index, args, SQLITE_STATIC), ...);  // the arguments outlive the statement's run
    while (running.next()) continue;
    return running.status();
  }
  template <typename... Args>
  Query query(const char* sql, const Args&... args) {
    Query running = start(sql);
    int index = 0;
    (bind(running, ++index, args, SQLITE_TRANSIENT), ...);
    return running;
  }

  [[nodiscard]] std::int64_t last_rowid() const { return sqlite3_last_insert_rowid(db_); }
  [[nodiscard]] std::int64_t changes() const { return sqlite3_changes64(db_); }
  [[nodiscard]] bool in_transaction() const { return sqlite3_get_autocommit(db_) == 0; }

  [[nodiscard]] StorageFailure failure() const { return failure_; }
  void clear_failure() { failure_ = StorageFailure::None; }

  // Pages in the write-ahead log after the last commit of this connection.
  [[nodiscard]] int wal_pages() const { return wal_pages_; }
  // Copies the log into the store, as far as readers allow; true when it was copied whole. Never waits for readers
  // unless `restart`.
  Result<bool> checkpoint(bool restart);

  [[nodiscard]] sqlite3* handle() const { return db_; }
  // The Error of a result code; notes storage failures.
  [[nodiscard]] Error error(int code);

 private:
  friend class Query;
  explicit Connection(sqlite3* db) : db_(db) {}

  // A reset statement, or none when it cannot be prepared (the Query then says why).
  Query start(const char* sql);

  template <typename T>
  void bind(Query& running, int index, const T& value, sqlite3_destructor_type lifetime) {
    if (running.statement_ == nullptr) return;
    if constexpr (std::is_same_v<T, Blob>) {
      bind_blob(running, index, value.bytes, lifetime);
    } else if constexpr (std::is_same_v<T, std::nullptr_t>) {
      check_bound(running, sqlite3_bind_null(running.statement_, index));
    } else if constexpr (std::is_integral_v<T> || std::is_enum_v<T>) {
      check_bound(running, sqlite3_bind_int64(running.statement_, index, static_cast<std::int64_t>(value)));
    } else if constexpr (std::is_convertible_v<const T&, std::string_view>) {
      bind_text(running, index, value, lifetime);
    } else {  // Strong
      check_bound(running, sqlite3_bind_int64(running.statement_, index, static_cast<std::int64_t>(value.value)));
    }
  }
  template <typename T>
  void bind(Query& running, int index, const std::optional<T>& value, sqlite3_destructor_type lifetime) {
    if (value)
      bind(running, index, *value, lifetime);
    else
      bind(running, index, nullptr, lifetime);
  }
  void bind_text(Query& running, int index, std::string_view text, sqlite3_destructor_type lifetime);
  void bind_blob(Query& running, int index, std::string_view bytes, sqlite3_destructor_type lifetime);
  void check_bound(Query& running, int code);

  sqlite3* db_;
  std::unordered_map<const char*, sqlite3_stmt*> statements_;
  StorageFailure failure_ = StorageFailure::None;
  int wal_pages_ = 0;
};

}  // namespace dhub::store
