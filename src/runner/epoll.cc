// SPDX-License-Identifier: Apache-2.0
#include "runner/epoll.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <sys/epoll.h>

#include "base/check.h"

namespace dhub::runner {
namespace {

int timeout_ms(std::optional<Instant> until) {
  if (!until) return -1;
  const Duration left = *until - read_clocks().mono;
  if (left <= Duration::zero()) return 0;
  // Rounded up: waking before the time would only wait again.
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left).count();
  return static_cast<int>(std::min<std::int64_t>(ms, 3'600'000));
}

}  // namespace

Epoll::Epoll() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
  CHECK(epoll_.is_open());
}

void Epoll::add(int descriptor, std::uint32_t events, Source& source) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &source;
  CHECK(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, descriptor, &event) == 0);
}

void Epoll::change(int descriptor, std::uint32_t events, Source& source) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &source;
  CHECK(::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, descriptor, &event) == 0);
}

void Epoll::remove(int descriptor) {
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, descriptor, nullptr);
}

void Epoll::turn(std::optional<Instant> until) {
  std::array<epoll_event, 64> ready;
  const int count = ::epoll_wait(epoll_.get(), ready.data(), static_cast<int>(ready.size()), timeout_ms(until));
  CHECK(count >= 0 || errno == EINTR);
  for (int i = 0; i < count; ++i) static_cast<Source*>(ready[i].data.ptr)->on_events(ready[i].events);
}

}  // namespace dhub::runner
