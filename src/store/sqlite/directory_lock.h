// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/result.h"

namespace dhub::store {

// Makes `path` and its missing parents, each durable in its own parent; 0700.
[[nodiscard]] Status make_directory(const std::string& path);

// Keeps a second server out of a data directory. The system lets go of the lock when the process ends, however it ends.
class DirectoryLock {
 public:
  // Conflict, naming the process, when another one holds it.
  static Result<DirectoryLock> acquire(const std::string& directory);
  DirectoryLock(DirectoryLock&& other) noexcept;
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;
  DirectoryLock& operator=(DirectoryLock&&) = delete;
  ~DirectoryLock();

 private:
  explicit DirectoryLock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace dhub::store
