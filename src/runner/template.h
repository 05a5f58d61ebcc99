// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "model/ids.h"
#include "runner/descriptor.h"
#include "runner/epoll.h"
#include "runner/isolation.h"
#include "runner/log_pipe.h"

namespace dhub::runner {

struct TemplateSettings {
  std::string interpreter;
  std::string package_dir;
  std::string instances_dir;
  int lifeline = -1;  // stays open in every process below
  Isolation isolation = Isolation::None;
};

// Hears what becomes of workers.
class TemplateListener {
 public:
  virtual ~TemplateListener() = default;
  // Its process and all that it left behind are gone. `status` as waitpid() tells it.
  virtual void on_exited(InstanceId instance, int status) = 0;
  virtual void on_not_forked(InstanceId instance, int error) = 0;
};

// What a new worker is given: its end of the socket, the writing end of its log, the shared page.
struct WorkerEnds {
  Descriptor link;
  Descriptor log;
  Descriptor page;
};

// A warm interpreter that forks workers (python/dhub/template.py). Started at once, usable at once: requests wait in
// its socket until it runs. It ends by being killed or by itself; whoever reaps its pid then drops this object.
class Template : public Source {
 public:
  // Unavailable when there are no processes or descriptors left. An interpreter that does not exist shows later, by the
  // death of the process.
  static Result<std::unique_ptr<Template>> start(const TemplateSettings& settings, Epoll& epoll,
                                                 TemplateListener& listener);
  ~Template() override;

  void fork(InstanceId instance, WorkerEnds ends);
  // SIGKILL; answered by on_exited.
  void kill_worker(InstanceId instance);
  // Ends it with all its workers.
  void kill();

  void on_events(std::uint32_t events) override;

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] bool ready() const { return ready_; }
  [[nodiscard]] std::string_view last_words();
  [[nodiscard]] const std::string& interpreter() const { return interpreter_; }

 private:
  struct Request {
    char operation;
    InstanceId instance;
    WorkerEnds ends;
  };
  Template(Epoll& epoll, TemplateListener& listener) : epoll_(epoll), listener_(listener) {}
  bool send(const Request& request);
  void flush();
  void take(const char* message);

  Epoll& epoll_;
  TemplateListener& listener_;
  std::string interpreter_;
  Descriptor control_;
  LogPipe log_;
  pid_t pid_ = -1;
  bool ready_ = false;
  std::deque<Request> waiting_;  // bounded by the number of instances
};

}  // namespace dhub::runner
