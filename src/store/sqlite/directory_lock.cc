// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/directory_lock.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace dhub::store {
namespace {

void sync_directory(const std::filesystem::path& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  fsync(fd);
  close(fd);
}

std::string holder_of(int fd) {
  char text[32] = {};
  const ssize_t length = pread(fd, text, sizeof text - 1, 0);
  std::string pid;
  for (ssize_t i = 0; i < length && text[i] >= '0' && text[i] <= '9'; ++i) pid += text[i];
  return pid.empty() ? "another process" : "process " + pid;
}

}  // namespace

Status make_directory(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return {};
  const auto parent = std::filesystem::absolute(path, ignored).lexically_normal().parent_path();
  if (!std::filesystem::exists(parent, ignored)) RETURN_IF_ERROR(make_directory(parent.string()));
  if (mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
    return fail(ErrorCode::PermissionDenied,
                fmt::format("The data directory cannot be made ({}); choose another with --data.", strerror(errno)));
  sync_directory(parent);
  return {};
}

Result<DirectoryLock> DirectoryLock::acquire(const std::string& directory) {
  const int fd = open((directory + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0)
    return fail(ErrorCode::PermissionDenied,
                fmt::format("The data directory cannot be used ({}); check its owner and rights.", strerror(errno)));
  DirectoryLock lock(fd);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0)
    return fail(ErrorCode::Conflict,
                fmt::format("The data directory is in use by {}; stop that server or choose another with --data.",
                            holder_of(fd)));
  const std::string pid = fmt::format("{}\n", getpid());
  // Only for the message above; the lock itself is what counts.
  if (ftruncate(fd, 0) != 0 || pwrite(fd, pid.data(), pid.size(), 0) < 0) errno = 0;
  return lock;
}

DirectoryLock::DirectoryLock(DirectoryLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

DirectoryLock::~DirectoryLock() {
  if (fd_ >= 0) close(fd_);
}

}  // namespace dhub::store
