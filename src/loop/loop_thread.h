// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include "base/guarded.h"

namespace boost::asio {
class io_context;
}

namespace dhub::loop {

// An io_context and the one thread that runs it. Made idle; runs from start() until stop(), once: a stopped loop stays
// stopped. start() and stop() may be called from any thread and any number of times; the destructor stops.
class LoopThread {
 public:
  // `name` is shown by the system's tools (its first 15 characters).
  explicit LoopThread(std::string name);
  ~LoopThread();
  LoopThread(const LoopThread&) = delete;
  LoopThread& operator=(const LoopThread&) = delete;

  void start();
  // Lets the task that runs finish, drops what is posted, and waits for the thread to end. On the loop's own thread it
  // only asks for the end and returns.
  void stop();

  // Work may be posted before start(); it runs then.
  [[nodiscard]] boost::asio::io_context& io_context() { return *io_; }

 private:
  void run();

  const std::string name_;
  std::unique_ptr<boost::asio::io_context> io_;
  std::atomic<std::thread::id> loop_id_{};  // of the running loop; none before and after
  Guarded<std::jthread> thread_;            // last: joined before the rest goes
};

}  // namespace dhub::loop
