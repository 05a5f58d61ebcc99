// SPDX-License-Identifier: Apache-2.0
#include "runner/instance.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

#include "runner/processes.h"
#include "wire/bytes.h"
#include "wire/outcomes.h"

namespace dhub::runner {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kMostQueuedBytes = 256ULL << 20;
constexpr int kReadsPerTurn = 8;
// A worker whose loop is blocked by one of several events cannot cancel it itself; that is tried first.
constexpr Duration kGraceForSeveral = 1s;
// Deliveries are there, but nothing begins: code of the user's holds the interpreter.
constexpr Duration kStuckGrace = 10s;
constexpr Duration kTimeToSayWhere = 50ms;
constexpr Duration kTimeToEndAfterDrain = 10s;
constexpr Duration kTimeToDie = 5s;
constexpr int kDumpSignal = SIGXCPU;

void send_signal(const Descriptor& pidfd, int number) {
  ::syscall(SYS_pidfd_send_signal, pidfd.get(), number, nullptr, 0);
}

}  // namespace

Instance::Instance(InstanceId id, wire::Start start, std::string directory, Epoll& epoll, InstanceOwner& owner)
    : id_(id), start_(std::move(start)), directory_(std::move(directory)), epoll_(epoll), owner_(owner) {}

Result<std::unique_ptr<Instance>> Instance::create(InstanceId id, const wire::Frame& frame, wire::Start start,
                                                   std::string directory, Epoll& epoll, InstanceOwner& owner) {
  std::unique_ptr<Instance> made(new Instance(id, std::move(start), std::move(directory), epoll, owner));
  ASSIGN_OR_RETURN(made->page_,
                   SharedPage::create(made->start_.spec.limits.output_bytes, made->start_.spec.concurrency));
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return fail(ErrorCode::Unavailable, "there are no file descriptors left to start an instance.");
  made->link_ = Descriptor(ends[0]);
  made->worker_ends_.link = Descriptor(ends[1]);
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  const int on = 1;
  ::setsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
  Instance* self = made.get();
  made->worker_ends_.log =
      made->log_.open(epoll, [self](std::string_view text, bool cut) { self->pass_log(text, cut); });
  if (!made->worker_ends_.log.is_open())
    return fail(ErrorCode::Unavailable, "there are no file descriptors left to start an instance.");
  made->worker_ends_.page = made->page_->take_descriptor();
  made->out_.bytes().append(frame.whole);
  made->memory_kills_before_ = system_memory_kills();
  const Instant now = read_clocks().mono;
  made->last_progress_ = now;
  made->check_at_ = now + made->start_.start_timeout;
  made->interest_ = EPOLLIN;
  epoll.add(ends[0], EPOLLIN, *made);
  made->flush();
  return made;
}

Instance::~Instance() {
  if (link_.is_open()) epoll_.remove(link_.get());
}

void Instance::pass_log(std::string_view text, bool cut) {
  std::string& out = owner_.to_server();
  const std::size_t began = wire::begin_frame(out, wire::FrameType::Log, id_);
  wire::put(out, static_cast<std::uint8_t>(cut ? 1 : 0));
  out.append(text);
  wire::end_frame(out, began);
}

void Instance::deliver(const wire::Frame& frame) {
  wire::Reader reader(frame.payload);
  std::uint32_t count = 0;
  // What is not answered at its end counts as not started, so a worker that is about to end needs no answer here.
  if (ended() || verdict_ || draining_ || !reader.take(count) || count == 0) return;
  if (out_.size() > kMostQueuedBytes)
    return condemn({EndReason::Crashed, "more was delivered than the host holds", {}});
  const Instant now = read_clocks().mono;
  if (unanswered_.open() == 0) last_progress_ = now;
  if (!unanswered_.add(frames_ + 1, frame.payload))
    return condemn({EndReason::Crashed, "it was given what are no deliveries", {}});
  ++frames_;
  out_.bytes().append(frame.whole);
  const Instant due = now + start_.spec.timeout;
  if (phase_ == Phase::Running && (!check_at_ || *check_at_ > due)) check_at_ = due;
  owner_.wants_flush(id_);
}

void Instance::drain(const wire::Frame& frame) {
  if (draining_) return;
  draining_ = true;
  out_.bytes().append(frame.whole);
  if (unanswered_.open() == 0 && phase_ == Phase::Running) check_at_ = read_clocks().mono + kTimeToEndAfterDrain;
  owner_.wants_flush(id_);
}

void Instance::kill() {
  condemn({EndReason::Killed, "killed by the server", {}});
}

// Ends the worker. The first verdict counts: it is why the worker died.
void Instance::condemn(Verdict verdict) {
  if (ended()) return;
  if (!verdict_) verdict_ = std::move(verdict);
  const Instant now = read_clocks().mono;
  if (!killed_at_) killed_at_ = now;
  check_at_ = now + kTimeToDie;
  if (pidfd_.is_open()) {
    send_signal(pidfd_, SIGKILL);
  } else if (template_ != nullptr) {
    template_->kill_worker(id_);
  }
}

std::optional<Instant> Instance::next_check() const {
  if (recall_ && (!check_at_ || recall_->look_at < *check_at_)) return recall_->look_at;
  return check_at_;
}

void Instance::check(const Now& now) {
  look_at_recall(now);
  if (!check_at_ || now.mono < *check_at_ || ended()) return;
  check_at_.reset();
  if (killed_at_) {
    // The template does not report its death: it is stuck, so it has to go, with all its workers.
    if (template_ != nullptr) const_cast<Template*>(template_)->kill();
    check_at_ = now.mono + kTimeToDie;
  } else if (phase_ == Phase::Starting) {
    condemn({EndReason::FailedToStart,
             fmt::format("the steps were not loaded within {}", to_string(start_.start_timeout)),
             {}});
  } else if (draining_ && unanswered_.open() == 0) {
    condemn({EndReason::Drained, "", {}});
  } else {
    check_running(now);
  }
}

void Instance::check_running(const Now& now) {
  if (unanswered_.open() == 0) return;
  const std::vector<Begun> begun = page_->begun();
  const Duration allowed = start_.spec.timeout + (start_.spec.concurrency > 1 ? kGraceForSeveral : Duration{});
  const auto oldest =
      std::min_element(begun.begin(), begun.end(), [](const Begun& a, const Begun& b) { return a.since < b.since; });
  if (oldest == begun.end()) {
    const Instant stuck = last_progress_ + allowed + kStuckGrace;
    if (now.mono >= stuck) return condemn({EndReason::TimedOut, "the worker does not begin what it was given", {}});
    check_at_ = std::min(stuck, now.mono + allowed);
    asked_.reset();
    return;
  }
  // A clock of the worker's that is ahead of ours is none.
  const Instant due = std::min(oldest->since, now.mono) + allowed;
  if (now.mono < due) {
    check_at_ = due;
    asked_.reset();
  } else if (asked_ == oldest->delivery) {
    condemn({EndReason::TimedOut, "", asked_});
  } else {
    ask_where(now, oldest->delivery);
  }
}

// Before it is killed the worker may say where it hangs; it prints that to its log without running any of its code.
void Instance::ask_where(const Now& now, DeliveryId victim) {
  asked_ = victim;
  asked_log_ = log_.total();
  send_signal(pidfd_, kDumpSignal);
  check_at_ = now.mono + kTimeToSayWhere;
}

void Instance::memory_measured(std::uint64_t bytes) {
  if (bytes <= memory_limit() || ended() || verdict_) return;
  const std::vector<Begun> begun = page_->begun();
  const auto victim = begun.size() == 1 ? std::optional(begun.front().delivery) : std::nullopt;
  condemn({EndReason::OutOfMemory,
           fmt::format("the instance used {} MiB of memory, its limit is {} MiB (options.limits.memory)", bytes >> 20,
                       memory_limit() >> 20),
           victim});
}

void Instance::on_events(std::uint32_t events) {
  if (ended() || !link_.is_open()) return;
  if (events & EPOLLOUT) flush();
  // A socket that has ended cannot be left unread: it would wake us for ever.
  const bool hung_up = (events & (EPOLLHUP | EPOLLERR)) != 0;
  if ((events & EPOLLIN) == 0 && !hung_up) return;
  for (int i = 0; i < kReadsPerTurn && (hung_up || !owner_.server_is_full()) && read_once(); ++i) take_frames();
  take_frames();
  update_interest();
}

// False when there is nothing more to read for now, or ever.
bool Instance::read_once() {
  if (gone_quiet_) return false;
  const auto space = in_.space();
  iovec part{space.data, space.size};
  alignas(cmsghdr) char ancillary[CMSG_SPACE(sizeof(ucred)) + CMSG_SPACE(8 * sizeof(int))];
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = ancillary;
  header.msg_controllen = sizeof ancillary;
  const ssize_t got = ::recvmsg(link_.get(), &header, MSG_CMSG_CLOEXEC);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (got <= 0) {
    // Its death is told by the template; until then there is nothing to wait for here.
    gone_quiet_ = true;
    epoll_.remove(link_.get());
    return false;
  }
  take_credentials(header);
  in_.wrote(static_cast<std::size_t>(got));
  received_ += static_cast<std::uint64_t>(got);
  return static_cast<std::size_t>(got) == space.size;
}

// The kernel says which process wrote, in our own namespace's numbers. Descriptors that a worker sends are closed.
void Instance::take_credentials(const msghdr& header) {
  auto* ancillary = const_cast<msghdr*>(&header);
  for (cmsghdr* part = CMSG_FIRSTHDR(ancillary); part != nullptr; part = CMSG_NXTHDR(ancillary, part)) {
    if (part->cmsg_level != SOL_SOCKET) continue;
    if (part->cmsg_type == SCM_RIGHTS) {
      const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
      for (std::size_t i = 0; i < count; ++i) {
        int descriptor = -1;
        std::memcpy(&descriptor, CMSG_DATA(part) + i * sizeof(int), sizeof descriptor);
        ::close(descriptor);
      }
    } else if (part->cmsg_type == SCM_CREDENTIALS && pid_ < 0) {
      ucred who{};
      std::memcpy(&who, CMSG_DATA(part), sizeof who);
      pid_ = who.pid;
      pidfd_ = Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, who.pid, 0)));
      // Its number is known before any code of the user's runs.
      if (killed_at_ && pidfd_.is_open()) send_signal(pidfd_, SIGKILL);
    }
  }
}

void Instance::take_frames() {
  while (!ended()) {
    auto next = in_.next();
    if (next && !*next) return;
    if (next && take_frame(**next)) continue;
    gone_quiet_ = true;
    epoll_.remove(link_.get());
    return condemn({EndReason::Crashed, "the worker wrote what is no answer; its socket belongs to the runner", {}});
  }
}

bool Instance::take_frame(const wire::Frame& frame) {
  if (frame.instance != id_) return false;
  switch (frame.type) {
    case wire::FrameType::Hello:
      return phase_ == Phase::Starting;
    case wire::FrameType::Ready:
      if (phase_ != Phase::Starting) return false;
      phase_ = Phase::Running;
      last_progress_ = read_clocks().mono;
      if (!verdict_) {
        check_at_ =
            last_progress_ + (draining_ && unanswered_.open() == 0 ? kTimeToEndAfterDrain : start_.spec.timeout);
        owner_.to_server().append(frame.whole);
      }
      return true;
    case wire::FrameType::Failed:
      if (auto failure = wire::decode_failure(frame.payload); failure && phase_ == Phase::Starting) {
        load_failure_ = std::move(*failure);
        return true;
      }
      return false;
    case wire::FrameType::Outcomes:
      return take_outcomes(frame);
    default:
      return false;
  }
}

// Passes on what was not answered for the worker.
bool Instance::take_outcomes(const wire::Frame& frame) {
  if (!wire::count_outcomes(frame.payload)) return false;
  wire::Reader reader(frame.payload.substr(sizeof(std::uint32_t)));
  std::string kept;
  std::uint32_t passed = 0;
  bool all = true;
  const char* const first = reader.rest().data();
  for (wire::OutcomeView view; !reader.empty();) {
    const char* const began = reader.rest().data();
    if (!wire::take_outcome(reader, view)) return false;
    const auto answer = unanswered_.answer(view.delivery);
    if (answer == Unanswered::Answer::Unknown) return false;
    if (answer == Unanswered::Answer::Swallowed && std::exchange(all, false)) kept.assign(first, began);
    if (answer == Unanswered::Answer::Swallowed) continue;
    ++passed;
    if (!all) kept.append(began, reader.rest().data());
  }
  if (all) {
    owner_.to_server().append(frame.whole);
  } else if (passed > 0) {
    put_outcomes(passed, kept);
  }
  answered_some();
  return true;
}

void Instance::answered_some() {
  last_progress_ = read_clocks().mono;
  if (draining_ && unanswered_.open() == 0 && !verdict_) check_at_ = last_progress_ + kTimeToEndAfterDrain;
}

void Instance::flush() {
  while (!out_.empty() && !gone_quiet_) {
    const auto pending = out_.pending();
    const ssize_t sent = ::send(link_.get(), pending.data(), pending.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && errno == EAGAIN) break;
    if (sent < 0) out_.clear();  // it is dying; what it was given counts as not started
    if (sent > 0) out_.sent(static_cast<std::size_t>(sent));
  }
  update_interest();
}

void Instance::update_interest() {
  if (gone_quiet_ || ended()) return;
  const std::uint32_t wanted = (owner_.server_is_full() ? 0U : static_cast<std::uint32_t>(EPOLLIN)) |
                               (out_.empty() ? 0U : static_cast<std::uint32_t>(EPOLLOUT));
  if (wanted == interest_) return;
  interest_ = wanted;
  epoll_.change(link_.get(), wanted, *this);
}

}  // namespace dhub::runner
