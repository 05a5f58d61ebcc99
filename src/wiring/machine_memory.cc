// SPDX-License-Identifier: Apache-2.0
#include "wiring/machine_memory.h"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>
#include <string_view>

namespace dhub::wiring {
namespace {

constexpr std::uint64_t kKiB = 1024;

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [at, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  return ec == std::errc() && value > 0 ? std::optional(value) : std::nullopt;
}

// "max" and files that are not there are no limit.
std::optional<std::uint64_t> limit_in(const std::string& path) {
  std::ifstream file(path);
  std::string word;
  file >> word;
  return number(word);
}

std::optional<std::uint64_t> installed(const std::string& root) {
  std::ifstream file(root + "/proc/meminfo");
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string name;
    std::uint64_t kib = 0;
    if (words >> name >> kib && name == "MemTotal:") return kib * kKiB;
  }
  return std::nullopt;
}

void lower(std::optional<std::uint64_t>& least, const std::optional<std::uint64_t>& other) {
  if (other) least = std::min(least.value_or(*other), *other);
}

// Of a group and all above it. In a container its own group is often mounted as the root.
void lower_by_groups(const std::string& mount, std::string group, const char* file,
                     std::optional<std::uint64_t>& least) {
  while (true) {
    lower(least, limit_in(mount + group + '/' + file));
    const auto slash = group.rfind('/');
    if (slash == std::string::npos) return;
    group.resize(slash);
  }
}

bool names_memory(const std::string& controllers) {
  std::istringstream names(controllers);
  for (std::string name; std::getline(names, name, ',');)
    if (name == "memory") return true;
  return false;
}

}  // namespace

std::optional<std::uint64_t> machine_memory(const std::string& root) {
  std::optional<std::uint64_t> least = installed(root);
  // "0::/user.slice" of version 2, "9:memory:/docker/1234" of version 1.
  std::ifstream groups(root + "/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const auto first = line.find(':');
    const auto second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string group = line.substr(second + 1);
    if (controllers.empty())
      lower_by_groups(root + "/sys/fs/cgroup", group, "memory.max", least);
    else if (names_memory(controllers))
      lower_by_groups(root + "/sys/fs/cgroup/memory", group, "memory.limit_in_bytes", least);
  }
  return least;
}

}  // namespace dhub::wiring
