// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/guarded.h"
#include "base/result.h"
#include "store/sqlite/sqlite.h"

namespace dhub::store {

// Read-only connections, lent to one thread at a time. Thread-safe. They see what was committed before they begin;
// a transaction of theirs must be short, for it keeps the log from being copied.
class Readers {
 public:
  class Lease {
   public:
    Lease(Readers& readers, std::unique_ptr<Connection> db) : readers_(&readers), db_(std::move(db)) {}
    Lease(Lease&& other) noexcept = default;
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    Lease& operator=(Lease&&) = delete;
    ~Lease() {
      if (db_) readers_->give_back(std::move(db_));
    }
    [[nodiscard]] Connection& operator*() const { return *db_; }
    [[nodiscard]] Connection* operator->() const { return db_.get(); }

   private:
    Readers* readers_;
    std::unique_ptr<Connection> db_;
  };

  Readers(std::string path, std::string vfs) : path_(std::move(path)), vfs_(std::move(vfs)) {}

  // Cancelled after close().
  Result<Lease> take();
  // Closes what is idle now and the rest as it comes back.
  void close();

 private:
  struct Idle {
    std::vector<std::unique_ptr<Connection>> connections;
    bool closed = false;
  };
  void give_back(std::unique_ptr<Connection> db);

  const std::string path_;
  const std::string vfs_;
  Guarded<Idle> idle_;
};

// Several statements that see one moment. Ends with the object.
class ReadTransaction {
 public:
  explicit ReadTransaction(Connection& db) : db_(db), status_(db.run("BEGIN")) {}
  ~ReadTransaction() {
    if (db_.in_transaction()) static_cast<void>(db_.run("COMMIT"));
  }
  ReadTransaction(const ReadTransaction&) = delete;
  ReadTransaction& operator=(const ReadTransaction&) = delete;
  [[nodiscard]] const Status& status() const { return status_; }

 private:
  Connection& db_;
  Status status_;
};

// Borrows a connection, opens a transaction and runs `read(Connection&)`, which answers a Result.
template <typename F>
auto with_reader(Readers& readers, F&& read) -> decltype(read(std::declval<Connection&>())) {
  auto lease = readers.take();
  if (!lease) return fail(std::move(lease.error()));
  const ReadTransaction transaction(**lease);
  if (!transaction.status()) return fail(transaction.status().error());
  return read(**lease);
}

}  // namespace dhub::store
