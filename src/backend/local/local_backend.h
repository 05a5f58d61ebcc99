// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/time.h"
#include "ports/compute_backend.h"
#include "ports/scheduler.h"

namespace boost::asio {
class io_context;
}

namespace dhub::local {

struct LocalOptions {
  std::string host_program;  // run as `<host_program> runner --fd N`
  // Ours alone: the Python package and working directories of instances go there. Made when it is missing.
  std::string work_dir;
  std::string default_interpreter = "/usr/bin/python3";
  Duration template_idle = std::chrono::minutes(10);  // a template without workers ends after this time
  Duration start_timeout = std::chrono::seconds(60);  // for loading the steps and init()
  Duration hello_timeout = std::chrono::seconds(10);  // for the host to say hello
  // Told of hosts that come and go; may be empty.
  std::function<void(LogLevel, std::string_view message, const std::vector<LogField>&)> log;
  // What a step's processes wrote past Python's print and logging; limited in rate; may be empty.
  std::function<void(InstanceId, std::string_view text)> on_raw_output;
};

// Runs instances as worker processes on this machine, through a host process of our own that is started with the first
// instance, lives as long as this object, and is replaced when it dies. Answers as ComputeBackend says; after the death
// of a host HostLost comes only when all processes below it are gone.
//
// Loop thread only, the one that runs `io` and the scheduler. The destructor ends all processes and waits for that (at
// most some seconds); listeners hear nothing of it. Bounds: 64 MiB of deliveries outstanding at one instance, what goes
// beyond is answered NotStarted.
class LocalBackend : public ComputeBackend {
 public:
  LocalBackend(Scheduler& scheduler, boost::asio::io_context& io, LocalOptions options);
  ~LocalBackend() override;
  LocalBackend(const LocalBackend&) = delete;
  LocalBackend& operator=(const LocalBackend&) = delete;

  void start(InstanceId instance, InstanceSpecRef spec, ComputeListener& listener) override;
  void deliver(InstanceId instance, const std::vector<Delivery>& frame) override;
  void recall(InstanceId instance) override;
  void drain(InstanceId instance) override;
  void kill(InstanceId instance) override;

  // Of the host; -1 when there is none.
  [[nodiscard]] int host_pid() const;

 private:
  class Instances;
  // Shared: what is posted to the loop holds it weakly.
  std::shared_ptr<Instances> instances_;
};

}  // namespace dhub::local
