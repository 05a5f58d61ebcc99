// SPDX-License-Identifier: Apache-2.0
#include "backend/local/host_process.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

#include "backend/local/spawn.h"
#include "wire/out_buffer.h"

namespace dhub::local {
namespace {

using boost::asio::posix::stream_descriptor;

constexpr int kReadsPerTurn = 16;
constexpr int kTimeToEndMs = 15'000;

// Waits for the end of a child of ours; false when it takes longer.
bool await_exit(pid_t pid, int timeout_ms) {
  const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (pidfd < 0) return false;
  pollfd waiting{pidfd, POLLIN, 0};
  const bool ended = ::poll(&waiting, 1, timeout_ms) > 0;
  ::close(pidfd);
  return ended;
}

std::string reap(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return "its status is not known";
  }
  if (WIFSIGNALED(status)) return "killed by signal " + std::to_string(WTERMSIG(status));
  return "exited with status " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

class HostProcess::Link : public std::enable_shared_from_this<HostProcess::Link> {
 public:
  Link(Scheduler& scheduler, boost::asio::io_context& io, Settings settings, HostEvents events, int socket, pid_t pid)
      : scheduler_(scheduler),
        settings_(std::move(settings)),
        events_(std::move(events)),
        socket_(io, socket),
        lifeline_(io),
        pid_(pid) {}

  void begin();
  void close();
  std::string& out();
  [[nodiscard]] int pid() const { return pid_; }
  [[nodiscard]] bool alive() const { return state_ != State::Dying && state_ != State::Gone; }

 private:
  enum class State { Greeting, Talking, Dying, Gone };

  void wait_for_input();
  void wait_for_room();
  void read();
  bool read_once();
  void take_descriptor(const msghdr& header);
  void take_frames();
  void take_frame(const wire::Frame& frame);
  void flush();
  void lose(const std::string& why);
  void wait_for_lifeline();
  void gone();

  Scheduler& scheduler_;
  const Settings settings_;
  HostEvents events_;
  stream_descriptor socket_;
  stream_descriptor lifeline_;
  pid_t pid_;
  State state_ = State::Greeting;
  wire::FrameBuffer in_;
  wire::OutBuffer out_;
  bool greeted_ = false;
  bool flush_posted_ = false;
  bool waits_for_room_ = false;
  std::string why_;
};

void HostProcess::Link::begin() {
  const std::size_t began = wire::begin_frame(out_.bytes(), wire::FrameType::Hello, {});
  wire::encode_hello(out_.bytes(), settings_.hello);
  wire::end_frame(out_.bytes(), began);
  flush();
  wait_for_input();
  scheduler_.at(scheduler_.now().mono + settings_.hello_timeout, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (self && self->state_ == State::Greeting) self->lose("the runner did not say hello in time");
  });
}

std::string& HostProcess::Link::out() {
  if (!flush_posted_) {
    flush_posted_ = true;
    scheduler_.post([weak = weak_from_this()] {
      if (const auto self = weak.lock()) {
        self->flush_posted_ = false;
        self->flush();
      }
    });
  }
  return out_.bytes();
}

void HostProcess::Link::flush() {
  while (alive() && !waits_for_room_ && !out_.empty()) {
    const auto pending = out_.pending();
    const ssize_t sent = ::send(socket_.native_handle(), pending.data(), pending.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) out_.sent(static_cast<std::size_t>(sent));
    if (sent >= 0 || errno == EINTR) continue;
    if (errno == EAGAIN) return wait_for_room();
    out_.clear();  // the host is dying, which shows when it is read from
  }
}

void HostProcess::Link::wait_for_room() {
  waits_for_room_ = true;
  socket_.async_wait(stream_descriptor::wait_write, [weak = weak_from_this()](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (!self || error) return;
    self->waits_for_room_ = false;
    self->flush();
  });
}

void HostProcess::Link::wait_for_input() {
  socket_.async_wait(stream_descriptor::wait_read, [weak = weak_from_this()](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (self && !error) self->read();
  });
}

void HostProcess::Link::read() {
  for (int i = 0; i < kReadsPerTurn && alive(); ++i) {
    const bool more = read_once();
    take_frames();
    if (!more) break;
  }
  if (alive()) wait_for_input();
}

// False when there is nothing more for now.
bool HostProcess::Link::read_once() {
  const auto space = in_.space();
  iovec part{space.data, space.size};
  alignas(cmsghdr) char ancillary[CMSG_SPACE(sizeof(int))];
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  header.msg_control = ancillary;
  header.msg_controllen = sizeof ancillary;
  const ssize_t got = ::recvmsg(socket_.native_handle(), &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (got <= 0) {
    lose("");
    return false;
  }
  take_descriptor(header);
  in_.wrote(static_cast<std::size_t>(got));
  return static_cast<std::size_t>(got) == space.size;
}

void HostProcess::Link::take_descriptor(const msghdr& header) {
  auto* ancillary = const_cast<msghdr*>(&header);
  const cmsghdr* part = CMSG_FIRSTHDR(ancillary);
  if (part == nullptr || part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) return;
  int descriptor = -1;
  std::memcpy(&descriptor, CMSG_DATA(part), sizeof descriptor);
  if (lifeline_.is_open()) {
    ::close(descriptor);
    return;
  }
  lifeline_.assign(descriptor);
}

void HostProcess::Link::take_frames() {
  // The owner may close us from inside a call.
  const auto self = shared_from_this();
  while (state_ != State::Gone) {
    auto next = in_.next();
    if (!next) return lose("the runner wrote what is no frame");
    if (!*next) return;
    take_frame(**next);
  }
}

void HostProcess::Link::take_frame(const wire::Frame& frame) {
  if (state_ != State::Greeting) {
    if (events_.on_frame) events_.on_frame(frame);
    return;
  }
  const auto hello = wire::decode_host_hello(frame.payload);
  if (frame.type != wire::FrameType::Hello || !hello) return lose("the runner did not say hello");
  if (wire::common_protocol(settings_.hello.protocol, hello->protocol) == 0)
    return lose("the runner speaks versions " + std::to_string(hello->protocol.oldest) + " to " +
                std::to_string(hello->protocol.newest) + " of the protocol, the server none of them");
  state_ = State::Talking;
  greeted_ = true;
}

// A host that is lost is killed; then the end of everything below it is waited for.
void HostProcess::Link::lose(const std::string& why) {
  if (!alive()) return;
  state_ = State::Dying;
  socket_.cancel();
  ::kill(pid_, SIGKILL);
  const std::string how = reap(pid_);
  pid_ = -1;
  why_ = why.empty() ? "the runner ended: " + how : why;
  if (!lifeline_.is_open()) {
    scheduler_.post([weak = weak_from_this()] {
      if (const auto self = weak.lock()) self->gone();
    });
    return;
  }
  wait_for_lifeline();
  scheduler_.at(scheduler_.now().mono + settings_.lifeline_timeout, [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self || self->state_ == State::Gone) return;
    self->why_ += "; processes below it are still there";
    self->gone();
  });
}

// Every process below the host holds the other end of this pipe; nobody writes to it.
void HostProcess::Link::wait_for_lifeline() {
  lifeline_.async_wait(stream_descriptor::wait_read, [weak = weak_from_this()](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (self && !error) self->gone();
  });
}

void HostProcess::Link::gone() {
  if (state_ == State::Gone) return;
  state_ = State::Gone;
  const auto on_lost = std::move(events_.on_lost);
  events_ = {};
  if (on_lost) on_lost(why_, greeted_);
}

void HostProcess::Link::close() {
  events_ = {};
  const bool running = alive();
  state_ = State::Gone;
  boost::system::error_code ignored;
  socket_.close(ignored);
  lifeline_.close(ignored);
  if (!running) return;
  // The end of its socket tells the host to end everything.
  if (!await_exit(pid_, kTimeToEndMs)) ::kill(pid_, SIGKILL);
  reap(pid_);
}

Result<std::unique_ptr<HostProcess>> HostProcess::spawn(Scheduler& scheduler, boost::asio::io_context& io,
                                                        const Settings& settings, HostEvents events) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return fail(ErrorCode::Unavailable, "the runner cannot be started: there are no file descriptors left.");
  constexpr int kTheirFd = 3;
  const auto pid =
      spawn_process({settings.program, "runner", "--fd", std::to_string(kTheirFd)}, {{2, 1}, {ends[1], kTheirFd}});
  ::close(ends[1]);
  if (!pid) {
    ::close(ends[0]);
    return fail(ErrorCode::Unavailable, "the runner cannot be started: " + pid.error().message);
  }
  auto link = std::make_shared<Link>(scheduler, io, settings, std::move(events), ends[0], *pid);
  link->begin();
  return std::unique_ptr<HostProcess>(new HostProcess(std::move(link)));
}

HostProcess::HostProcess(std::shared_ptr<Link> link) : link_(std::move(link)) {}

HostProcess::~HostProcess() {
  link_->close();
}

std::string& HostProcess::out() {
  return link_->out();
}

int HostProcess::pid() const {
  return link_->pid();
}

bool HostProcess::alive() const {
  return link_->alive();
}

}  // namespace dhub::local
