// SPDX-License-Identifier: Apache-2.0
#include "runner/processes.h"

#include <charconv>
#include <cstdlib>
#include <dirent.h>
#include <fcntl.h>
#include <memory>
#include <string>
#include <string_view>
#include <unistd.h>

#include "runner/descriptor.h"

namespace dhub::runner {
namespace {

// Files of /proc say all at once; `most` bytes of it are enough.
std::string read_file(const std::string& path, std::size_t most) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open()) return {};
  std::string text(most, '\0');
  const ssize_t got = ::read(file.get(), text.data(), text.size());
  text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return text;
}

template <typename T>
T number(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  T value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// The number behind `name` in a file of lines "name   number".
std::uint64_t number_of(std::string_view text, std::string_view name) {
  const std::size_t found = text.find(name);
  return found == std::string_view::npos ? 0 : number<std::uint64_t>(text.substr(found + name.size()));
}

// The fourth field of /proc/PID/stat; the second, a name in parentheses, may hold anything.
pid_t parent_of(const std::string& pid) {
  const std::string stat = read_file("/proc/" + pid + "/stat", 512);
  const std::size_t name_end = stat.rfind(") ");
  return name_end == std::string::npos || stat.size() < name_end + 5 ? 0 : number<pid_t>(stat.substr(name_end + 4));
}

}  // namespace

ProcessTree ProcessTree::read() {
  ProcessTree tree;
  const std::unique_ptr<DIR, int (*)(DIR*)> proc(::opendir("/proc"), ::closedir);
  if (!proc) return tree;
  while (const dirent* entry = ::readdir(proc.get())) {
    const std::string name = entry->d_name;
    if (name.empty() || name[0] < '0' || name[0] > '9') continue;
    if (const pid_t parent = parent_of(name); parent > 0) tree.children_.emplace(parent, number<pid_t>(name));
  }
  return tree;
}

std::vector<pid_t> ProcessTree::children(pid_t parent) const {
  std::vector<pid_t> found;
  const auto [begin, end] = children_.equal_range(parent);
  for (auto it = begin; it != end; ++it) found.push_back(it->second);
  return found;
}

std::vector<pid_t> ProcessTree::tree(pid_t root) const {
  std::vector<pid_t> found{root};
  for (std::size_t i = 0; i < found.size(); ++i) {
    for (const pid_t child : children(found[i])) found.push_back(child);
  }
  return found;
}

std::uint64_t resident_bytes(pid_t pid) {
  const std::string statm = read_file("/proc/" + std::to_string(pid) + "/statm", 128);
  const std::size_t space = statm.find(' ');
  if (space == std::string::npos) return 0;
  return number<std::uint64_t>(statm.substr(space + 1)) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

std::uint64_t proportional_bytes(pid_t pid) {
  const std::string rollup = read_file("/proc/" + std::to_string(pid) + "/smaps_rollup", 4096);
  const std::uint64_t kib = number_of(rollup, "\nPss:");
  return kib == 0 ? resident_bytes(pid) : kib << 10;
}

std::uint64_t system_memory_kills() {
  return number_of(read_file("/proc/vmstat", 64 << 10), "\noom_kill ");
}

}  // namespace dhub::runner
