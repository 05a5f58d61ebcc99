// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/readers.h"

namespace dhub::store {
namespace {

constexpr std::size_t kMostIdle = 16;

}  // namespace

Result<Readers::Lease> Readers::take() {
  bool closed = false;
  auto db = idle_.with([&](Idle& idle) -> std::unique_ptr<Connection> {
    closed = idle.closed;
    if (idle.connections.empty()) return nullptr;
    auto last = std::move(idle.connections.back());
    idle.connections.pop_back();
    return last;
  });
  if (closed) return fail(ErrorCode::Cancelled, "The server is stopping.");
  if (!db) {
    ASSIGN_OR_RETURN(db, Connection::open(path_, OpenMode::ReadOnly, vfs_));
    RETURN_IF_ERROR(db->execute("PRAGMA query_only=ON; PRAGMA cache_size=-4096; PRAGMA temp_store=MEMORY;"));
  }
  return Lease(*this, std::move(db));
}

void Readers::close() {
  // Closed outside the lock: closing touches the disk.
  auto connections = idle_.with([](Idle& idle) {
    idle.closed = true;
    return std::exchange(idle.connections, {});
  });
}

void Readers::give_back(std::unique_ptr<Connection> db) {
  // One whose transaction could not be ended would keep the log from being copied.
  if (db->in_transaction()) return;
  idle_.with([&](Idle& idle) {
    if (!idle.closed && idle.connections.size() < kMostIdle) idle.connections.push_back(std::move(db));
  });
}

}  // namespace dhub::store
