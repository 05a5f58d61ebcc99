// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "ports/scheduler.h"
#include "wire/frame.h"
#include "wire/messages.h"

namespace boost::asio {
class io_context;
}

namespace dhub::local {

// What becomes of a host process. Called on the loop, never from inside a call to it.
struct HostEvents {
  std::function<void(const wire::Frame&)> on_frame;
  // It is dead, and so are the templates and workers below it: nothing more comes. A program that a step had executed
  // has no end of the lifeline; it was killed at the same moment, and may take a moment more. `why` is a sentence;
  // `greeted`: it had said hello.
  std::function<void(const std::string& why, bool greeted)> on_lost;
};

// A host process and the stream to it. Spawned at once; usable at once, what is sent waits in the socket. Life: until
// it dies, or says what is no frame, or this object is closed. Loop thread only.
class HostProcess {
 public:
  struct Settings {
    std::string program;
    wire::ServerHello hello;
    Duration hello_timeout = std::chrono::seconds(10);
    // How long the end of the processes below a dead host is waited for.
    Duration lifeline_timeout = std::chrono::seconds(10);
  };

  // Unavailable when the program cannot be run.
  static Result<std::unique_ptr<HostProcess>> spawn(Scheduler& scheduler, boost::asio::io_context& io,
                                                    const Settings& settings, HostEvents events);
  // Ends it and waits for its process, at most some seconds; then it is killed.
  ~HostProcess();

  // Frames are appended here; they go out together at the end of this turn of the loop.
  [[nodiscard]] std::string& out();
  [[nodiscard]] int pid() const;
  [[nodiscard]] bool alive() const;

 private:
  class Link;
  explicit HostProcess(std::shared_ptr<Link> link);
  std::shared_ptr<Link> link_;  // shared: completions of the loop hold it weakly
};

}  // namespace dhub::local
