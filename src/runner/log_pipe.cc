// SPDX-License-Identifier: Apache-2.0
#include "runner/log_pipe.h"

#include <algorithm>
#include <array>
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <utility>

namespace dhub::runner {
namespace {

constexpr std::size_t kTailBytes = 16ULL << 10;
constexpr Duration kWindow = std::chrono::seconds(1);
constexpr std::size_t kReadPerWindow = 32ULL << 20;
constexpr std::size_t kPassedPerWindow = 64ULL << 10;

}  // namespace

Descriptor LogPipe::open(Epoll& epoll, Sink sink) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return {};
  Descriptor writer(ends[1]);
  pipe_ = Descriptor(ends[0]);
  // Ours only: the writer's processes expect a pipe that waits.
  ::fcntl(pipe_.get(), F_SETFL, O_NONBLOCK);
  sink_ = std::move(sink);
  epoll_ = &epoll;
  epoll.add(pipe_.get(), EPOLLIN, *this);
  return writer;
}

void LogPipe::close() {
  if (!pipe_.is_open()) return;
  epoll_->remove(pipe_.get());
  pipe_.close();
  paused_until_.reset();
}

void LogPipe::on_events(std::uint32_t) {
  if (pipe_.is_open()) read_once();
}

void LogPipe::drain() {
  constexpr int kMostReads = 32;
  for (int i = 0; i < kMostReads && pipe_.is_open() && read_once(); ++i) {
  }
}

void LogPipe::resume() {
  if (!paused_until_ || !pipe_.is_open()) return;
  paused_until_.reset();
  epoll_->change(pipe_.get(), EPOLLIN, *this);
}

std::string_view LogPipe::tail_since(std::uint64_t total) const {
  const std::uint64_t fresh = std::min<std::uint64_t>(total_ - total, tail_.size());
  return std::string_view(tail_).substr(tail_.size() - fresh);
}

// True when there may be more.
bool LogPipe::read_once() {
  std::array<char, 64 << 10> buffer;
  const ssize_t got = ::read(pipe_.get(), buffer.data(), buffer.size());
  if (got > 0) take({buffer.data(), static_cast<std::size_t>(got)});
  if (got == 0) close();
  return got > 0;
}

void LogPipe::take(std::string_view text) {
  total_ += text.size();
  tail_.append(text.substr(text.size() - std::min(text.size(), kTailBytes)));
  if (tail_.size() > 2 * kTailBytes) tail_.erase(0, tail_.size() - kTailBytes);
  const Instant now = read_clocks().mono;
  if (now - window_began_ > kWindow) {
    window_began_ = now;
    window_read_ = 0;
    window_passed_ = 0;
    cut_told_ = false;
  }
  window_read_ += text.size();
  const std::size_t room = kPassedPerWindow - window_passed_;
  const bool cut = text.size() > room && !std::exchange(cut_told_, cut_told_ || text.size() > room);
  if ((room > 0 || cut) && sink_) sink_(text.substr(0, room), cut);
  window_passed_ += std::min(room, text.size());
  if (window_read_ <= kReadPerWindow || paused_until_) return;
  paused_until_ = window_began_ + kWindow;
  epoll_->change(pipe_.get(), 0, *this);
}

}  // namespace dhub::runner
