// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "base/time.h"
#include "eventlog/kafka/handle.h"

namespace dhub::kafka {

// Closes clients on a thread of its own, one after the other: that waits for the library's threads, and for brokers in
// some versions of it, so nobody else may have to wait for it. Thread-safe. Its end waits for what is left.
class Closer {
 public:
  Closer() = default;
  ~Closer();
  Closer(const Closer&) = delete;
  Closer& operator=(const Closer&) = delete;

  void close(std::unique_ptr<Handle> handle);
  // For how long the client at hand has been closing by `now`; zero when there is none.
  [[nodiscard]] Duration busy(Instant now) const;

 private:
  void loop(const std::stop_token& token);

  mutable std::mutex mutex_;
  std::condition_variable_any wake_;
  std::deque<std::unique_ptr<Handle>> waiting_;
  std::optional<Instant> since_;  // when the one at hand was begun with
  std::jthread thread_;           // from the first client on
};

}  // namespace dhub::kafka
