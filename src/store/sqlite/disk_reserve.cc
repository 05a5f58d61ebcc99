// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/disk_reserve.h"

#include <fmt/format.h>
#include <limits>
#include <sys/statvfs.h>

namespace dhub::store {
namespace {

constexpr Duration kLookEvery = std::chrono::milliseconds(100);

}  // namespace

std::uint64_t free_disk_bytes(const std::string& directory) {
  struct statvfs info {};
  // Not knowing must not stop publishing; a disk that is really full says so itself.
  if (statvfs(directory.c_str(), &info) != 0) return std::numeric_limits<std::uint64_t>::max();
  return static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
}

Status DiskReserve::check(Instant now) {
  if (!looked_ || now - looked_at_ >= kLookEvery) {
    free_ = free_bytes_();
    looked_at_ = now;
    looked_ = true;
  }
  if (free_ >= reserve_) return {};
  return fail(ErrorCode::StorageFull,
              fmt::format("The disk is nearly full ({} free, {} are kept in reserve): publishing has stopped until "
                          "there is more space. Reading and delivery go on.",
                          size_to_string(free_), size_to_string(reserve_)));
}

}  // namespace dhub::store
