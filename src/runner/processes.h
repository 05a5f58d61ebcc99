// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <sys/types.h>
#include <unordered_map>
#include <vector>

namespace dhub::runner {

// Which process is whose child, read from /proc at one moment. Pids are those of our own namespace.
class ProcessTree {
 public:
  [[nodiscard]] static ProcessTree read();

  [[nodiscard]] std::vector<pid_t> children(pid_t parent) const;
  // The process and all below it.
  [[nodiscard]] std::vector<pid_t> tree(pid_t root) const;

 private:
  std::unordered_multimap<pid_t, pid_t> children_;
};

// Memory that a process holds in RAM; 0 when it is gone.
[[nodiscard]] std::uint64_t resident_bytes(pid_t pid);
// The same with shared pages counted by their share; falls back to resident_bytes. Slower.
[[nodiscard]] std::uint64_t proportional_bytes(pid_t pid);

// How many processes the system has killed for want of memory since it was started.
[[nodiscard]] std::uint64_t system_memory_kills();

}  // namespace dhub::runner
