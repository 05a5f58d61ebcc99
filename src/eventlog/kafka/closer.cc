// SPDX-License-Identifier: Apache-2.0
#include "eventlog/kafka/closer.h"

#include <utility>

namespace dhub::kafka {

Closer::~Closer() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

void Closer::close(std::unique_ptr<Handle> handle) {
  std::lock_guard lock(mutex_);
  waiting_.push_back(std::move(handle));
  if (!thread_.joinable()) thread_ = std::jthread([this](const std::stop_token& token) { loop(token); });
  wake_.notify_one();
}

Duration Closer::busy(Instant now) const {
  std::lock_guard lock(mutex_);
  return since_ ? now - *since_ : Duration::zero();
}

void Closer::loop(const std::stop_token& token) {
  std::unique_lock lock(mutex_);
  while (wake_.wait(lock, token, [&] { return !waiting_.empty(); })) {
    auto handle = std::move(waiting_.front());
    waiting_.pop_front();
    since_ = read_clocks().mono;
    lock.unlock();
    handle.reset();
    lock.lock();
    since_.reset();
  }
}

}  // namespace dhub::kafka
