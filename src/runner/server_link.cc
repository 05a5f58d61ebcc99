// SPDX-License-Identifier: Apache-2.0
#include "runner/server_link.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

namespace dhub::runner {
namespace {

constexpr std::size_t kFullBytes = 16ULL << 20;
constexpr int kReadsPerTurn = 16;

}  // namespace

ServerLink::ServerLink(int fd, Epoll& epoll, OnFrame on_frame)
    : socket_(fd), epoll_(epoll), on_frame_(std::move(on_frame)) {
  ::fcntl(fd, F_SETFL, O_NONBLOCK);
  ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  epoll_.add(fd, EPOLLIN, *this);
}

ServerLink::~ServerLink() {
  epoll_.remove(socket_.get());
}

void ServerLink::send_hello(const std::string& frame, int lifeline) {
  std::string copy = frame;
  iovec part{copy.data(), copy.size()};
  msghdr header{};
  header.msg_iov = &part;
  header.msg_iovlen = 1;
  alignas(cmsghdr) char ancillary[CMSG_SPACE(sizeof(int))] = {};
  header.msg_control = ancillary;
  header.msg_controllen = sizeof ancillary;
  cmsghdr* rights = CMSG_FIRSTHDR(&header);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(rights), &lifeline, sizeof lifeline);
  // An empty socket takes a frame of a hundred bytes at once, or the server is gone.
  if (::sendmsg(socket_.get(), &header, MSG_NOSIGNAL) != static_cast<ssize_t>(frame.size())) ended_ = true;
}

bool ServerLink::is_full() const {
  return out_.size() > kFullBytes;
}

void ServerLink::on_events(std::uint32_t events) {
  if (events & EPOLLOUT) flush();
  if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) read();
}

void ServerLink::read() {
  for (int i = 0; i < kReadsPerTurn && !ended_; ++i) {
    const auto space = in_.space();
    const ssize_t got = ::read(socket_.get(), space.data, space.size);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
      ended_ = true;
      return;
    }
    in_.wrote(static_cast<std::size_t>(got));
    while (!ended_) {
      auto next = in_.next();
      if (!next) ended_ = true;
      if (!next || !*next) break;
      on_frame_(**next);
    }
    if (static_cast<std::size_t>(got) < space.size) return;
  }
}

void ServerLink::flush() {
  while (!out_.empty() && !ended_) {
    const auto pending = out_.pending();
    const ssize_t written = ::send(socket_.get(), pending.data(), pending.size(), MSG_NOSIGNAL);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EAGAIN) break;
    if (written < 0) ended_ = true;
    if (written > 0) out_.sent(static_cast<std::size_t>(written));
  }
  const bool wait = !out_.empty() && !ended_;
  if (wait == waits_for_room_) return;
  waits_for_room_ = wait;
  epoll_.change(socket_.get(), wait ? EPOLLIN | EPOLLOUT : EPOLLIN, *this);
}

}  // namespace dhub::runner
