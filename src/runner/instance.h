// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "model/run.h"
#include "ports/compute_backend.h"
#include "runner/descriptor.h"
#include "runner/epoll.h"
#include "runner/log_pipe.h"
#include "runner/page.h"
#include "runner/template.h"
#include "runner/unanswered.h"
#include "wire/frame.h"
#include "wire/messages.h"
#include "wire/out_buffer.h"

struct msghdr;

namespace dhub::runner {

// What an instance wants of the host.
class InstanceOwner {
 public:
  virtual ~InstanceOwner() = default;
  // Frames to the server are appended here.
  [[nodiscard]] virtual std::string& to_server() = 0;
  // It has something to write to its worker at the end of this turn.
  virtual void wants_flush(InstanceId instance) = 0;
  // The server takes no more at the moment: do not read from the worker.
  [[nodiscard]] virtual bool server_is_full() const = 0;
};

// One worker process as the host sees it: its socket, shared page, log, deadlines, and the verdict on its death. Life:
// create(), then frames in both directions, then finish(), which answers what the worker left and says how it ended.
// What the worker sends is checked in full before it is passed on: it runs user code.
class Instance : public Source {
 public:
  static Result<std::unique_ptr<Instance>> create(InstanceId id, const wire::Frame& frame, wire::Start start,
                                                  std::string directory, Epoll& epoll, InstanceOwner& owner);
  ~Instance() override;

  // What the template hands to the worker; once.
  [[nodiscard]] WorkerEnds take_worker_ends() { return std::move(worker_ends_); }
  void use(Template& from) { template_ = &from; }

  void deliver(const wire::Frame& frame);
  // What has not begun is answered NotStarted: by the worker when it comes to it, by us when that takes too long.
  void recall();
  void drain(const wire::Frame& frame);
  void kill();

  // When check() has something to look at: a deadline, a kill that takes too long, a recall.
  [[nodiscard]] std::optional<Instant> next_check() const;
  void check(const Now& now);
  // Its processes hold that much memory.
  void memory_measured(std::uint64_t bytes);

  void on_events(std::uint32_t events) override;
  void flush();
  // Reads on, or not, as server_is_full() says.
  void update_interest();

  // Its process is gone. Answers everything and says so to the server. `status` as waitpid() tells it; none when its
  // template died with it or it never came to be (`why`).
  void finish(std::optional<int> status, const std::string& why);

  [[nodiscard]] InstanceId id() const { return id_; }
  [[nodiscard]] bool ended() const { return phase_ == Phase::Ended; }
  [[nodiscard]] bool busy() const { return phase_ == Phase::Starting || unanswered_.open() > 0; }
  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] std::uint64_t memory_limit() const { return start_.spec.limits.memory_bytes; }
  [[nodiscard]] const std::string& directory() const { return directory_; }
  [[nodiscard]] const Template* from() const { return template_; }
  [[nodiscard]] LogPipe& log() { return log_; }

 private:
  enum class Phase { Starting, Running, Ended };
  // Why it is being ended by us.
  struct Verdict {
    EndReason reason{};
    std::string detail;
    std::optional<DeliveryId> victim;
  };
  // The worker was told that the first `frames` frames are recalled; what it has done with that is looked at then.
  struct Recall {
    std::uint64_t frames = 0;
    Instant look_at{};
  };

  Instance(InstanceId id, wire::Start start, std::string directory, Epoll& epoll, InstanceOwner& owner);
  // instance.cc
  void pass_log(std::string_view text, bool cut);
  bool read_once();
  void take_credentials(const msghdr& header);
  void take_frames();
  [[nodiscard]] bool take_frame(const wire::Frame& frame);
  [[nodiscard]] bool take_outcomes(const wire::Frame& frame);
  void answered_some();
  void condemn(Verdict verdict);
  void check_running(const Now& now);
  void ask_where(const Now& now, DeliveryId victim);
  // instance_recall.cc
  void look_at_recall(const Now& now);
  void claim(std::uint64_t frames);
  std::uint32_t take_finished(DeliveryId running, std::string& outcomes);
  void read_what_was_sent();
  [[nodiscard]] std::vector<DeliveryId> unbegun(std::uint64_t frames, const std::vector<DeliveryId>& noted);
  // instance_end.cc
  void drain_worker();
  void answer_finished();
  void answer_begun(const std::vector<Begun>& begun, const std::string& how, const Now& now);
  [[nodiscard]] EndReason end_reason(std::optional<int> status, const std::vector<Begun>& begun) const;
  [[nodiscard]] std::string last_trace() const;
  void put_outcome(const Outcome& outcome, std::uint8_t flags);
  void put_outcomes(std::uint32_t count, std::string_view outcomes);

  const InstanceId id_;
  const wire::Start start_;
  const std::string directory_;
  Epoll& epoll_;
  InstanceOwner& owner_;
  Template* template_ = nullptr;

  Phase phase_ = Phase::Starting;
  Descriptor link_;
  std::uint32_t interest_ = 0;
  wire::FrameBuffer in_;
  wire::OutBuffer out_;
  std::optional<SharedPage> page_;
  LogPipe log_;
  WorkerEnds worker_ends_;
  pid_t pid_ = -1;    // in our own pid namespace
  Descriptor pidfd_;  // the same process, whatever becomes of its number

  Unanswered unanswered_;
  std::uint64_t frames_ = 0;    // of deliveries, handed on so far
  std::uint64_t recalled_ = 0;  // of these, recalled
  std::optional<Recall> recall_;
  std::uint64_t received_ = 0;  // bytes from its socket
  Instant last_progress_{};
  bool draining_ = false;
  bool gone_quiet_ = false;  // nothing more comes from its socket
  std::optional<Instant> check_at_;
  std::optional<Instant> killed_at_;
  std::optional<DeliveryId> asked_;  // past its deadline, asked where it is, about to be killed
  std::uint64_t asked_log_ = 0;
  std::optional<Verdict> verdict_;
  std::optional<wire::LoadFailure> load_failure_;
  std::uint64_t memory_kills_before_ = 0;
};

}  // namespace dhub::runner
