// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <sqlite3.h>
#include <string>
#include <vector>

#include "base/random.h"

namespace dhub::store {

// The system's VFS, which can be told to fail and to forget. Wraps the files of one store; thread-safe. What is written
// reaches the real files at once; what a power cut may take is remembered per file since its last sync.
class FaultVfs {
 public:
  enum class Call { Write, Sync };
  enum class Fault { None, NoSpace, Io };

  FaultVfs();
  ~FaultVfs();
  FaultVfs(const FaultVfs&) = delete;
  FaultVfs& operator=(const FaultVfs&) = delete;
  [[nodiscard]] const std::string& name() const { return name_; }

  // Asked before every write and sync of a file whose path ends with the suffix given first; its answer is obeyed.
  void decide(std::function<Fault(const std::string& path, Call call)> rule);
  void heal() { decide(nullptr); }

  // From now on nothing reaches the disk any more: every write, sync and removal fails.
  void cut_power();
  // After everything is closed: takes from the files what was not synced when the power went. Each such write is lost
  // or kept as chance has it; with `keep_nothing` all are lost. Then the power is back.
  void forget_unsynced(Random& random, bool keep_nothing);

  [[nodiscard]] std::uint64_t syncs() const;

 private:
  struct PendingWrite {
    std::int64_t offset = 0;
    std::string bytes;
    bool truncate = false;  // to `offset`
  };
  // What is surely on the disk, and what came after.
  struct Image {
    std::string durable;
    std::vector<PendingWrite> pending;
  };
  struct File;
  friend struct FaultVfsCalls;

  static void apply(std::string& content, const PendingWrite& write);
  Fault ask(const std::string& path, Call call);
  void opened(const std::string& path);
  void wrote(const std::string& path, PendingWrite write);
  void synced(const std::string& path);
  void removed(const std::string& path);

  std::string name_;
  sqlite3_vfs* real_;
  sqlite3_vfs vfs_{};
  mutable std::mutex mutex_;
  std::function<Fault(const std::string&, Call)> rule_;
  std::map<std::string, Image> images_;
  bool dark_ = false;
  std::uint64_t syncs_ = 0;
};

}  // namespace dhub::store
