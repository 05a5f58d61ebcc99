// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "base/result.h"
#include "base/time.h"

namespace dhub::store {

// Bytes that an unprivileged process can still write to the file system of `directory`.
[[nodiscard]] std::uint64_t free_disk_bytes(const std::string& directory);

// Keeps publishing away from the last of the disk, so that cursors can still be stored. For one thread; looks at the
// disk at most every 100 ms.
class DiskReserve {
 public:
  DiskReserve(std::uint64_t reserve, std::function<std::uint64_t()> free_bytes)
      : reserve_(reserve), free_bytes_(std::move(free_bytes)) {}

  // StorageFull while less than the reserve is free.
  Status check(Instant now);

 private:
  const std::uint64_t reserve_;
  const std::function<std::uint64_t()> free_bytes_;
  bool looked_ = false;
  Instant looked_at_{};
  std::uint64_t free_ = 0;
};

}  // namespace dhub::store
