// SPDX-License-Identifier: Apache-2.0
#include "runner/host.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <map>
#include <memory>
#include <poll.h>
#include <set>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <unordered_map>
#include <utility>
#include <vector>

#include "runner/instance.h"
#include "runner/processes.h"
#include "runner/server_link.h"
#include "runner/template.h"

namespace dhub::runner {
namespace {

using namespace std::chrono_literals;

constexpr Duration kMemoryLookBusy = 50ms;
constexpr Duration kMemoryLookIdle = 1s;
constexpr Duration kTreeLook = 500ms;
constexpr Duration kTimeToSweep = 1s;
constexpr Duration kTimeToEndAll = 10s;

// Turns SIGCHLD into readiness.
class ChildSignal : public Source {
 public:
  explicit ChildSignal(Epoll& epoll) : epoll_(epoll) {
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    ::sigprocmask(SIG_BLOCK, &child, nullptr);
    signals_ = Descriptor(::signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK));
    epoll_.add(signals_.get(), EPOLLIN, *this);
  }
  ~ChildSignal() override { epoll_.remove(signals_.get()); }
  void on_events(std::uint32_t) override {
    signalfd_siginfo info;
    while (::read(signals_.get(), &info, sizeof info) > 0) raised_ = true;
  }
  [[nodiscard]] bool take() { return std::exchange(raised_, false); }

 private:
  Epoll& epoll_;
  Descriptor signals_;
  bool raised_ = false;
};

class Host : public InstanceOwner, public TemplateListener {
 public:
  Host(int fd, std::optional<Isolation> isolation);
  int run();

  std::string& to_server() override { return server_.out(); }
  void wants_flush(InstanceId instance) override { dirty_.insert(instance); }
  bool server_is_full() const override { return server_.is_full(); }
  void on_exited(InstanceId instance, int status) override;
  void on_not_forked(InstanceId instance, int error) override;

 private:
  struct Idle {
    std::optional<Instant> since;
  };
  void take_frame(const wire::Frame& frame);
  void take_hello(const wire::Frame& frame);
  void remove_leftovers();
  void start(const wire::Frame& frame);
  Result<void> start_instance(const wire::Frame& frame, wire::Start start);
  Result<Template*> template_for(const std::string& interpreter);
  Instance* find(InstanceId instance);
  void after_turn();
  void reap();
  bool kill_orphans(const std::vector<std::pair<pid_t, int>>& gone);
  void template_gone(pid_t pid, int status);
  void remove_ended();
  void look_at_memory(const Now& now);
  [[nodiscard]] bool has_workers(const Template& candidate) const;
  void end_idle_templates(const Now& now);
  [[nodiscard]] std::optional<Instant> next_wake() const;
  void end_all();

  Epoll epoll_;
  Descriptor lifeline_read_;
  Descriptor lifeline_write_;
  ServerLink server_;
  ChildSignal child_signal_;
  bool greeted_ = false;
  bool broken_ = false;  // the server broke the protocol
  bool was_full_ = false;
  wire::ServerHello hello_;
  std::optional<Isolation> isolation_;
  std::map<std::string, std::unique_ptr<Template>> templates_;  // by interpreter
  std::map<pid_t, std::unique_ptr<Template>> ending_;           // killed for being idle, not reaped yet
  std::map<const Template*, Idle> idle_;
  std::unordered_map<InstanceId, std::unique_ptr<Instance>> instances_;
  std::set<InstanceId> dirty_;
  std::set<pid_t> cleaners_;  // children of ours that remove directories
  Instant memory_at_{};
  Instant tree_at_{};
};

Host::Host(int fd, std::optional<Isolation> isolation)
    : server_(fd, epoll_, [this](const wire::Frame& frame) { take_frame(frame); }),
      child_signal_(epoll_),
      isolation_(isolation) {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  // A signal to the whole process group is meant for the server; we end when it does.
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGPIPE}) ::signal(number, SIG_IGN);
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC) == 0) {
    lifeline_read_ = Descriptor(ends[0]);
    lifeline_write_ = Descriptor(ends[1]);
  }
}

int Host::run() {
  if (!lifeline_read_.is_open()) return 1;
  std::string hello;
  char name[256] = "host";
  ::gethostname(name, sizeof name - 1);
  const std::size_t began = wire::begin_frame(hello, wire::FrameType::Hello, {});
  wire::encode_hello(hello, wire::HostHello{{}, fmt::format("{}/{}", name, ::getpid())});
  wire::end_frame(hello, began);
  server_.send_hello(hello, lifeline_read_.get());
  lifeline_read_.close();
  while (!server_.ended() && !broken_) {
    epoll_.turn(next_wake());
    after_turn();
  }
  end_all();
  return broken_ ? 1 : 0;
}

void Host::take_frame(const wire::Frame& frame) {
  if (broken_) return;
  if (!greeted_) return take_hello(frame);
  if (frame.type == wire::FrameType::Start) return start(frame);
  // An instance that has ended is not known any more: the server hears of its end, and what crossed it never began.
  Instance* instance = find(frame.instance);
  switch (frame.type) {
    case wire::FrameType::Deliver:
      if (instance != nullptr) instance->deliver(frame);
      return;
    case wire::FrameType::Recall:
      if (instance != nullptr) instance->recall();
      return;
    case wire::FrameType::Drain:
      if (instance != nullptr) instance->drain(frame);
      return;
    case wire::FrameType::Kill:
      if (instance != nullptr) instance->kill();
      return;
    default:
      broken_ = true;
  }
}

void Host::take_hello(const wire::Frame& frame) {
  auto hello = wire::decode_server_hello(frame.payload);
  if (frame.type != wire::FrameType::Hello || !hello || wire::common_protocol({}, hello->protocol) == 0) {
    broken_ = true;
    return;
  }
  hello_ = std::move(*hello);
  greeted_ = true;
  std::error_code ignored;
  std::filesystem::create_directories(hello_.instances_dir, ignored);
  remove_leftovers();
}

// Directories of hosts before us that could not clean up.
void Host::remove_leftovers() {
  const std::filesystem::path own = hello_.instances_dir;
  const pid_t cleaner = fork_isolated(Isolation::None, [&] {
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(own.parent_path(), ignored)) {
      if (entry.path() != own) std::filesystem::remove_all(entry.path(), ignored);
    }
    ::_exit(0);
  });
  if (cleaner > 0) cleaners_.insert(cleaner);
}

void Host::start(const wire::Frame& frame) {
  auto start = wire::decode_start(frame.payload);
  if (!start || instances_.contains(frame.instance)) {
    broken_ = true;
    return;
  }
  const auto started = start_instance(frame, std::move(*start));
  if (started) return;
  std::string& out = server_.out();
  const std::size_t began = wire::begin_frame(out, wire::FrameType::Ended, frame.instance);
  wire::encode_ended(out, {EndReason::FailedToStart, started.error().message, {}});
  wire::end_frame(out, began);
}

Result<void> Host::start_instance(const wire::Frame& frame, wire::Start start) {
  ASSIGN_OR_RETURN(Template* const from, template_for(start.spec.interpreter));
  std::string directory = fmt::format("{}/{}", hello_.instances_dir, frame.instance);
  if (::mkdir(directory.c_str(), 0700) != 0)
    return fail(ErrorCode::Unavailable,
                std::string("the instance's working directory cannot be made: ") + std::strerror(errno) + ".");
  auto made = Instance::create(frame.instance, frame, std::move(start), directory, epoll_, *this);
  if (!made) {
    ::rmdir(directory.c_str());
    return fail(std::move(made.error()));
  }
  Instance& instance = *instances_.emplace(frame.instance, std::move(*made)).first->second;
  instance.use(*from);
  from->fork(frame.instance, instance.take_worker_ends());
  idle_.erase(from);
  return {};
}

Result<Template*> Host::template_for(const std::string& interpreter) {
  if (const auto found = templates_.find(interpreter); found != templates_.end()) return found->second.get();
  if (!isolation_) isolation_ = best_isolation();
  const TemplateSettings settings{interpreter, hello_.package_dir, hello_.instances_dir, lifeline_write_.get(),
                                  *isolation_};
  ASSIGN_OR_RETURN(auto made, Template::start(settings, epoll_, *this));
  return templates_.emplace(interpreter, std::move(made)).first->second.get();
}

Instance* Host::find(InstanceId instance) {
  const auto found = instances_.find(instance);
  return found == instances_.end() || found->second->ended() ? nullptr : found->second.get();
}

void Host::on_exited(InstanceId instance, int status) {
  if (Instance* ended = find(instance)) ended->finish(status, "");
}

void Host::on_not_forked(InstanceId instance, int error) {
  if (Instance* ended = find(instance))
    ended->finish(std::nullopt, std::string("the worker could not be forked: ") + std::strerror(error));
}

void Host::after_turn() {
  if (child_signal_.take()) reap();
  const Now now = read_clocks();
  for (const auto& [id, instance] : instances_) {
    if (const auto due = instance->next_check(); due && *due <= now.mono) instance->check(now);
    if (const auto paused = instance->log().paused_until(); paused && *paused <= now.mono) instance->log().resume();
  }
  look_at_memory(now);
  remove_ended();
  end_idle_templates(now);
  for (const InstanceId id : dirty_) {
    if (Instance* instance = find(id)) instance->flush();
  }
  dirty_.clear();
  server_.flush();
  if (const bool full = server_.is_full(); full != was_full_) {
    was_full_ = full;
    for (const auto& [id, instance] : instances_) instance->update_interest();
  }
}

// Our children are templates, cleaners, and whatever a worker left behind when its template died. Of the death of a
// template is told when nobody is left of what ran below it.
void Host::reap() {
  std::vector<std::pair<pid_t, int>> gone;
  const Instant deadline = read_clocks().mono + kTimeToSweep;
  do {
    int status = 0;
    pid_t pid = 0;
    while ((pid = ::waitpid(-1, &status, WNOHANG)) > 0) {
      ending_.erase(pid);
      if (cleaners_.erase(pid) == 0) gone.emplace_back(pid, status);
    }
  } while (kill_orphans(gone) && ::poll(nullptr, 0, 1) == 0 && read_clocks().mono < deadline);
  for (const auto& [pid, status] : gone) template_gone(pid, status);
}

// True while there are any.
bool Host::kill_orphans(const std::vector<std::pair<pid_t, int>>& gone) {
  bool any = false;
  for (const pid_t child : ProcessTree::read().children(::getpid())) {
    const bool known = cleaners_.contains(child) || ending_.contains(child) ||
                       std::any_of(templates_.begin(), templates_.end(),
                                   [&](const auto& entry) { return entry.second->pid() == child; });
    const bool reaped = std::any_of(gone.begin(), gone.end(), [&](const auto& entry) { return entry.first == child; });
    if (known && !reaped) continue;
    ::kill(child, SIGKILL);
    any = true;
  }
  return any;
}

void Host::template_gone(pid_t pid, int status) {
  const auto found =
      std::find_if(templates_.begin(), templates_.end(), [&](const auto& entry) { return entry.second->pid() == pid; });
  if (found == templates_.end()) return;
  const std::unique_ptr<Template> gone = std::move(found->second);
  templates_.erase(found);
  idle_.erase(gone.get());
  gone->on_events(EPOLLIN);  // what it has said before
  const std::string_view words = gone->last_words();
  std::string why = "gone: its interpreter was ended";
  if (!gone->ready()) {
    why = fmt::format("not started: the interpreter '{}' does not work: {}", gone->interpreter(),
                      words.empty() ? fmt::format("it ended with status {}", status) : std::string(words));
  }
  for (const auto& [id, instance] : instances_) {
    if (instance->from() == gone.get()) instance->finish(std::nullopt, why);
  }
}

// Large directories are removed by a child, so that nothing waits for that.
void Host::remove_ended() {
  for (auto it = instances_.begin(); it != instances_.end();) {
    if (!it->second->ended()) {
      ++it;
      continue;
    }
    const std::string directory = it->second->directory();
    it = instances_.erase(it);
    if (::rmdir(directory.c_str()) == 0 || errno == ENOENT) continue;
    const pid_t cleaner = fork_isolated(Isolation::None, [&] {
      std::error_code ignored;
      std::filesystem::remove_all(directory, ignored);
      ::_exit(0);
    });
    if (cleaner > 0) cleaners_.insert(cleaner);
  }
}

void Host::look_at_memory(const Now& now) {
  const bool busy = std::any_of(instances_.begin(), instances_.end(), [](const auto& e) { return e.second->busy(); });
  if (instances_.empty() || now.mono < memory_at_ + (busy ? kMemoryLookBusy : kMemoryLookIdle)) return;
  memory_at_ = now.mono;
  std::optional<ProcessTree> tree;
  if (now.mono >= tree_at_ + kTreeLook) {
    tree_at_ = now.mono;
    tree = ProcessTree::read();
  }
  for (const auto& [id, instance] : instances_) {
    if (instance->pid() <= 0) continue;
    std::uint64_t resident = 0;
    const auto pids = tree ? tree->tree(instance->pid()) : std::vector<pid_t>{instance->pid()};
    for (const pid_t pid : pids) resident += resident_bytes(pid);
    if (resident <= instance->memory_limit()) continue;
    // Pages that are shared with the template or among children count once only.
    std::uint64_t proportional = 0;
    for (const pid_t pid : pids) proportional += proportional_bytes(pid);
    instance->memory_measured(proportional);
  }
}

bool Host::has_workers(const Template& candidate) const {
  return std::any_of(instances_.begin(), instances_.end(),
                     [&](const auto& entry) { return entry.second->from() == &candidate; });
}

void Host::end_idle_templates(const Now& now) {
  for (auto it = templates_.begin(); it != templates_.end();) {
    Template& candidate = *it->second;
    if (has_workers(candidate)) {
      idle_.erase(&candidate);
      ++it;
      continue;
    }
    Idle& idle = idle_[&candidate];
    if (!idle.since) idle.since = now.mono;
    if (now.mono < *idle.since + hello_.template_idle) {
      ++it;
      continue;
    }
    candidate.kill();
    idle_.erase(&candidate);
    ending_.emplace(candidate.pid(), std::move(it->second));
    it = templates_.erase(it);
  }
}

std::optional<Instant> Host::next_wake() const {
  std::optional<Instant> next;
  const auto at = [&](std::optional<Instant> when) {
    if (when && (!next || *when < *next)) next = when;
  };
  bool busy = false;
  for (const auto& [id, instance] : instances_) {
    at(instance->next_check());
    at(instance->log().paused_until());
    busy = busy || instance->busy();
  }
  if (!instances_.empty()) at(memory_at_ + (busy ? kMemoryLookBusy : kMemoryLookIdle));
  for (const auto& [candidate, idle] : idle_) {
    if (idle.since) at(*idle.since + hello_.template_idle);
  }
  return next;
}

// The server is gone: nothing may outlive it.
void Host::end_all() {
  const Instant deadline = read_clocks().mono + kTimeToEndAll;
  for (const auto& [interpreter, each] : templates_) each->kill();
  while (read_clocks().mono < deadline) {
    for (const pid_t child : ProcessTree::read().children(::getpid())) {
      if (!cleaners_.contains(child)) ::kill(child, SIGKILL);
    }
    int status = 0;
    const pid_t reaped = ::waitpid(-1, &status, WNOHANG);
    if (reaped < 0 && errno == ECHILD) break;
    if (reaped == 0) epoll_.turn(read_clocks().mono + 20ms);
  }
  instances_.clear();
  std::error_code ignored;
  std::filesystem::remove_all(hello_.instances_dir, ignored);
}

}  // namespace

int run_host(int fd, std::optional<Isolation> isolation) {
  return Host(fd, isolation).run();
}

}  // namespace dhub::runner
