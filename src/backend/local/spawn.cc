// SPDX-License-Identifier: Apache-2.0
#include "backend/local/spawn.h"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <spawn.h>
#include <unistd.h>

#include "base/environment.h"

namespace dhub::local {
namespace {

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> found;
  for (auto& text : texts) found.push_back(text.data());
  found.push_back(nullptr);
  return found;
}

std::vector<std::string> clean_environment() {
  std::vector<std::string> kept;
  for (const auto& [name, value] : read_environment()) {
    const bool wanted = name == "PATH" || name == "HOME" || name == "LANG" || name == "LC_ALL" || name == "TZ" ||
                        name.ends_with("SAN_OPTIONS");
    if (wanted) kept.push_back(name + '=' + value);
  }
  return kept;
}

}  // namespace

Result<pid_t> spawn_process(std::vector<std::string> arguments, const std::vector<Handed>& descriptors) {
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  // First out of the way of the targets: a descriptor of ours may have the number of one.
  int last = 2;
  int aside = 3;
  for (const auto& [from, to] : descriptors) aside = std::max({aside, from + 1, to + 1});
  bool has_input = false;
  for (std::size_t i = 0; i < descriptors.size(); ++i)
    ::posix_spawn_file_actions_adddup2(&actions, descriptors[i].from, aside + static_cast<int>(i));
  for (std::size_t i = 0; i < descriptors.size(); ++i) {
    ::posix_spawn_file_actions_adddup2(&actions, aside + static_cast<int>(i), descriptors[i].to);
    has_input = has_input || descriptors[i].to == 0;
    last = std::max(last, descriptors[i].to);
  }
  if (!has_input) ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_addclosefrom_np(&actions, last + 1);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  sigset_t signals;
  sigemptyset(&signals);
  ::posix_spawnattr_setsigmask(&attributes, &signals);
  sigfillset(&signals);
  ::posix_spawnattr_setsigdefault(&attributes, &signals);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  std::vector<std::string> environment = clean_environment();
  const auto argv = pointers(arguments);
  const auto envp = pointers(environment);
  pid_t pid = -1;
  const int error = ::posix_spawnp(&pid, argv[0], &actions, &attributes, argv.data(), envp.data());
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  if (error != 0) return fail(ErrorCode::Unavailable, arguments[0] + ": " + std::strerror(error) + ".");
  return pid;
}

}  // namespace dhub::local
