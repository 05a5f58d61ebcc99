// SPDX-License-Identifier: Apache-2.0
#include "runner/isolation.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <sched.h>
#include <string>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace dhub::runner {
namespace {

constexpr int kSetupFailed = 125;

bool write_file(const char* path, const std::string& text) {
  const int file = ::open(path, O_WRONLY | O_CLOEXEC);
  if (file < 0) return false;
  const bool written = ::write(file, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  ::close(file);
  return written;
}

// Inside a new user namespace: we stay who we are.
bool map_own_ids(uid_t uid, gid_t gid) {
  const std::string user = std::to_string(uid);
  const std::string group = std::to_string(gid);
  return write_file("/proc/self/setgroups", "deny") && write_file("/proc/self/uid_map", user + ' ' + user + " 1") &&
         write_file("/proc/self/gid_map", group + ' ' + group + " 1");
}

// /proc has to show the new namespace's pids: programs look themselves up there. What is mounted here must not show
// outside; in a chroot "/" is no mount of its own, and what matters then is the mount that ours goes on top of.
bool mount_own_proc() {
  const auto keep_apart = [](const char* path) { return ::mount("", path, nullptr, MS_REC | MS_SLAVE, nullptr) == 0; };
  return (keep_apart("/") || keep_apart("/proc")) &&
         ::mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) == 0;
}

int clone_flags(Isolation isolation) {
  switch (isolation) {
    case Isolation::Namespace:
      return CLONE_NEWPID | CLONE_NEWNS;
    case Isolation::UserNamespace:
      return CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS;
    case Isolation::None:
      return 0;
  }
  return 0;
}

void unblock_signals() {
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) ::signal(number, SIG_DFL);
}

bool works(Isolation isolation) {
  const pid_t child = fork_isolated(isolation, [] { ::_exit(0); });
  if (child < 0) return false;
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

const char* name_of(Isolation isolation) {
  switch (isolation) {
    case Isolation::Namespace:
      return "pid namespace";
    case Isolation::UserNamespace:
      return "user and pid namespace";
    case Isolation::None:
      return "process groups";
  }
  return "none";
}

Isolation best_isolation() {
  if (works(Isolation::Namespace)) return Isolation::Namespace;
  if (works(Isolation::UserNamespace)) return Isolation::UserNamespace;
  return Isolation::None;
}

pid_t fork_isolated(Isolation isolation, const std::function<void()>& run) {
  const uid_t uid = ::geteuid();
  const gid_t gid = ::getegid();
  // fork() cannot be given flags; the raw call is as good here, since there is one thread and the child soon executes
  // another program.
  const long child = ::syscall(SYS_clone, clone_flags(isolation) | SIGCHLD, nullptr, nullptr, nullptr, nullptr);
  if (child != 0) return static_cast<pid_t>(child);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (isolation == Isolation::UserNamespace && !map_own_ids(uid, gid)) ::_exit(kSetupFailed);
  if (isolation != Isolation::None && !mount_own_proc()) ::_exit(kSetupFailed);
  // Orphans of a template's workers become its children.
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  unblock_signals();
  run();
  ::_exit(kSetupFailed);
}

}  // namespace dhub::runner
