// SPDX-License-Identifier: Apache-2.0
#include "runner/template.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

#include "base/environment.h"

namespace dhub::runner {
namespace {

constexpr int kControl = 3;
constexpr int kLifeline = 4;
// Operation, instance, number.
constexpr std::size_t kMessageBytes = 1 + 8 + 8;
constexpr char kFork = 'F';
constexpr char kKill = 'K';
constexpr const char* kBootstrap =
    "import sys; sys.path.insert(0, sys.argv[2]); from dhub import template; template.main()";

// What of our own environment a step may see.
std::vector<std::string> clean_environment() {
  const Environment ours = read_environment();
  std::vector<std::string> kept;
  for (const char* name : {"PATH", "HOME", "LANG", "LC_ALL", "TZ"}) {
    if (const std::string value = get(ours, name); !value.empty()) kept.push_back(std::string(name) + '=' + value);
  }
  if (get(ours, "PATH").empty()) kept.push_back("PATH=/usr/local/bin:/usr/bin:/bin");
  return kept;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> found;
  for (auto& text : texts) found.push_back(text.data());
  found.push_back(nullptr);
  return found;
}

// In the child: puts the descriptors where the template expects them and closes the rest.
void place_descriptors(int control, int lifeline, int log) {
  const int high_control = ::fcntl(control, F_DUPFD, 10);
  const int high_lifeline = ::fcntl(lifeline, F_DUPFD, 10);
  const int high_log = ::fcntl(log, F_DUPFD, 10);
  const int null = ::open("/dev/null", O_RDONLY);
  ::dup2(null, 0);
  ::dup2(high_log, 1);
  ::dup2(high_log, 2);
  ::dup2(high_control, kControl);
  ::dup2(high_lifeline, kLifeline);
  if (::syscall(SYS_close_range, 5U, ~0U, 0U) == 0) return;
  for (int fd = 5; fd < 4096; ++fd) ::close(fd);
}

void say(const std::string& text) {
  [[maybe_unused]] const auto written = ::write(2, text.data(), text.size());
}

}  // namespace

Result<std::unique_ptr<Template>> Template::start(const TemplateSettings& settings, Epoll& epoll,
                                                  TemplateListener& listener) {
  std::unique_ptr<Template> made(new Template(epoll, listener));
  made->interpreter_ = settings.interpreter;
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return fail(ErrorCode::Unavailable, "there are no file descriptors left to start an interpreter.");
  made->control_ = Descriptor(ends[0]);
  const Descriptor theirs(ends[1]);
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  const Descriptor log = made->log_.open(epoll, {});
  if (!log.is_open())
    return fail(ErrorCode::Unavailable, "there are no file descriptors left to start an interpreter.");
  std::vector<std::string> arguments{settings.interpreter, "-I", "-c", kBootstrap, settings.instances_dir,
                                     settings.package_dir};
  std::vector<std::string> environment = clean_environment();
  const auto argv = pointers(arguments);
  const auto envp = pointers(environment);
  made->pid_ = fork_isolated(settings.isolation, [&] {
    place_descriptors(theirs.get(), settings.lifeline, log.get());
    ::execvpe(argv[0], argv.data(), envp.data());
    say(std::string("cannot be run: ") + std::strerror(errno));
    ::_exit(127);
  });
  if (made->pid_ < 0) return fail(ErrorCode::Unavailable, "there are no processes left to start an interpreter.");
  epoll.add(made->control_.get(), EPOLLIN, *made);
  return made;
}

Template::~Template() {
  if (control_.is_open()) epoll_.remove(control_.get());
}

void Template::fork(InstanceId instance, WorkerEnds ends) {
  if (!control_.is_open()) return;
  waiting_.push_back({kFork, instance, std::move(ends)});
  flush();
}

void Template::kill_worker(InstanceId instance) {
  if (!control_.is_open()) return;
  waiting_.push_back({kKill, instance, {}});
  flush();
}

void Template::kill() {
  if (pid_ > 0) ::kill(pid_, SIGKILL);
}

std::string_view Template::last_words() {
  log_.drain();
  return log_.tail();
}

bool Template::send(const Request& request) {
  char message[kMessageBytes] = {};
  message[0] = request.operation;
  std::memcpy(message + 1, &request.instance.value, sizeof request.instance.value);
  iovec part{message, sizeof message};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  alignas(cmsghdr) char ancillary[CMSG_SPACE(3 * sizeof(int))] = {};
  if (request.operation == kFork) {
    header.msg_control = ancillary;
    header.msg_controllen = sizeof ancillary;
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(3 * sizeof(int));
    const int descriptors[3] = {request.ends.link.get(), request.ends.log.get(), request.ends.page.get()};
    std::memcpy(CMSG_DATA(rights), descriptors, sizeof descriptors);
  }
  // A template that is gone shows by its death; what was meant for it does not matter any more.
  return ::sendmsg(control_.get(), &header, MSG_NOSIGNAL) >= 0 || errno != EAGAIN;
}

void Template::flush() {
  while (!waiting_.empty() && send(waiting_.front())) waiting_.pop_front();
  epoll_.change(control_.get(), waiting_.empty() ? EPOLLIN : EPOLLIN | EPOLLOUT, *this);
}

void Template::on_events(std::uint32_t events) {
  if (!control_.is_open()) return;
  if (events & EPOLLOUT) flush();
  char message[kMessageBytes];
  ssize_t got = 0;
  while ((got = ::recv(control_.get(), message, sizeof message, 0)) == static_cast<ssize_t>(sizeof message))
    take(message);
  if (got >= 0 || (errno != EAGAIN && errno != EINTR)) {  // it has ended, or talks nonsense
    epoll_.remove(control_.get());
    control_.close();
    kill();
  }
}

void Template::take(const char* message) {
  InstanceId instance;
  std::int64_t number = 0;
  std::memcpy(&instance.value, message + 1, sizeof instance.value);
  std::memcpy(&number, message + 9, sizeof number);
  if (message[0] == 'R') ready_ = true;
  if (message[0] == 'E') listener_.on_exited(instance, static_cast<int>(number));
  if (message[0] == 'X') listener_.on_not_forked(instance, static_cast<int>(number));
}

}  // namespace dhub::runner
