// SPDX-License-Identifier: Apache-2.0
#include "wiring/stop_signals.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <limits>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/check.h"

namespace dhub::wiring {
namespace {

sigset_t stop_set() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) ::sigaddset(&set, signal);
  return set;
}

int poll_milliseconds(std::optional<Duration> timeout) {
  if (!timeout) return -1;
  const auto rounded_up = std::chrono::ceil<milliseconds>(*timeout).count();
  return static_cast<int>(std::clamp<std::int64_t>(rounded_up, 0, std::numeric_limits<int>::max()));
}

}  // namespace

StopSignals::StopSignals() {
  const sigset_t set = stop_set();
  CHECK(::pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0);
  signals_ = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  woken_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  CHECK(signals_ >= 0 && woken_ >= 0);
}

StopSignals::~StopSignals() {
  ::close(signals_);
  ::close(woken_);
}

StopSignals::Wakeup StopSignals::wait(std::optional<Duration> timeout) {
  const Instant deadline = read_clocks().mono + timeout.value_or(Duration::zero());
  while (true) {
    std::array<pollfd, 2> waiting{pollfd{signals_, POLLIN, 0}, pollfd{woken_, POLLIN, 0}};
    const auto left = timeout ? std::optional(deadline - read_clocks().mono) : std::nullopt;
    const int ready = ::poll(waiting.data(), waiting.size(), poll_milliseconds(left));
    if (ready < 0 && errno == EINTR) continue;
    signalfd_siginfo arrived{};
    if (::read(signals_, &arrived, sizeof arrived) == sizeof arrived)
      return {Cause::Signal, static_cast<int>(arrived.ssi_signo)};
    std::uint64_t count = 0;
    if (::read(woken_, &count, sizeof count) == sizeof count) return {Cause::Woken, 0};
    if (ready == 0) return {Cause::TimedOut, 0};
  }
}

void StopSignals::wake() {
  const std::uint64_t one = 1;
  // Cannot block before 2^64 - 2 calls that nobody waited for; then the waiter is woken anyway.
  [[maybe_unused]] const ssize_t written = ::write(woken_, &one, sizeof one);
}

void prepare_server_process() {
  ::signal(SIGPIPE, SIG_IGN);
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

void unblock_signals() {
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

}  // namespace dhub::wiring
