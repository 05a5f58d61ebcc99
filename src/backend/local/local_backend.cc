// SPDX-License-Identifier: Apache-2.0
#include "backend/local/local_backend.h"

#include <algorithm>
#include <deque>
#include <filesystem>
#include <fmt/format.h>
#include <optional>
#include <set>
#include <unistd.h>
#include <unordered_map>
#include <utility>

#include "backend/local/host_process.h"
#include "backend/local/package_files.h"
#include "wire/bytes.h"
#include "wire/deliveries.h"
#include "wire/frame.h"
#include "wire/messages.h"
#include "wire/outcomes.h"

namespace dhub::local {
namespace {

constexpr std::size_t kMostOutstandingBytes = 64ULL << 20;  // of one instance
constexpr std::size_t kSplitBytes = 16ULL << 20;            // a larger frame becomes several
constexpr std::size_t kMostDeliveryBytes = 60ULL << 20;
constexpr std::size_t kMostSuspects = 4096;

// Events of one pipeline are told apart by their run.
using SuspectKey = std::pair<std::string, RunId>;

struct Outstanding {
  DeliveryId id{};
  RunId run{};
  std::size_t bytes = 0;
  bool alone = false;
};

struct Instance {
  InstanceSpecRef spec;
  ComputeListener* listener = nullptr;
  std::shared_ptr<HostProcess> host;  // shared by its instances; the last one of a dead host lets it go
  std::deque<Outstanding> outstanding;
  std::size_t bytes = 0;
};

std::string host_directory(const std::string& work_dir, std::uint64_t number) {
  return fmt::format("{}/instances/{}-{}", std::filesystem::absolute(work_dir).string(), ::getpid(), number);
}

Outcome not_started(DeliveryId id) {
  Outcome outcome;
  outcome.delivery = id;
  outcome.kind = OutcomeKind::NotStarted;
  return outcome;
}

// Frames are answered about in order, so the answered one stands near the front.
std::optional<Outstanding> take(Instance& instance, DeliveryId id) {
  auto& outstanding = instance.outstanding;
  const auto found =
      std::find_if(outstanding.begin(), outstanding.end(), [&](const Outstanding& o) { return o.id == id; });
  if (found == outstanding.end()) return std::nullopt;
  const Outstanding taken = *found;
  if (found == outstanding.begin()) {
    outstanding.pop_front();
  } else {
    outstanding.erase(found);
  }
  instance.bytes -= taken.bytes;
  return taken;
}

}  // namespace

// The state behind a LocalBackend.
class LocalBackend::Instances : public std::enable_shared_from_this<LocalBackend::Instances> {
 public:
  Instances(Scheduler& scheduler, boost::asio::io_context& io, LocalOptions options)
      : scheduler_(scheduler), io_(io), options_(std::move(options)) {}

  void start(InstanceId id, InstanceSpecRef spec, ComputeListener& listener);
  void deliver(InstanceId id, const std::vector<Delivery>& frame);
  void send(InstanceId id, wire::FrameType type);
  [[nodiscard]] int host_pid() const { return host_ && host_->alive() ? host_->pid() : -1; }
  void close();

 private:
  Status ensure_host();
  void start_failed(InstanceId id, const std::string& why);
  void put_deliveries(InstanceId id, Instance& instance, const std::vector<const Delivery*>& deliveries);
  void answer_later(InstanceId id, std::vector<Outcome> outcomes);
  void on_frame(const wire::Frame& frame);
  void on_ready(InstanceId id);
  void on_outcomes(InstanceId id, std::string_view payload);
  void on_ended(InstanceId id, wire::Ended ended);
  void on_host_lost(const HostProcess* host, const std::string& why, bool greeted);
  void remember(const Instance& instance, const Outstanding& answered, const wire::ReceivedOutcome& received);
  void log(LogLevel level, std::string_view message, const std::vector<LogField>& fields) const {
    if (options_.log) options_.log(level, message, fields);
  }

  Scheduler& scheduler_;
  boost::asio::io_context& io_;
  const LocalOptions options_;
  std::string package_dir_;
  std::uint64_t hosts_ = 0;
  std::shared_ptr<HostProcess> host_;
  std::unordered_map<InstanceId, Instance> instances_;
  std::set<SuspectKey> suspects_;
};

void LocalBackend::Instances::start(InstanceId id, InstanceSpecRef spec, ComputeListener& listener) {
  Instance& instance = instances_[id];
  instance.listener = &listener;
  instance.spec = std::move(spec);
  if (const auto ready = ensure_host(); !ready) {
    log(LogLevel::Error, "an instance cannot be started", {{"error", ready.error().message}});
    return start_failed(id, ready.error().message);
  }
  instance.host = host_;
  wire::Start start{*instance.spec, options_.start_timeout};
  if (start.spec.interpreter.empty()) start.spec.interpreter = options_.default_interpreter;
  start.spec.concurrency = std::max(start.spec.concurrency, 1);
  std::string frame;
  const std::size_t began = wire::begin_frame(frame, wire::FrameType::Start, id);
  wire::encode_start(frame, start);
  if (frame.size() > kMostDeliveryBytes)
    return start_failed(id, "the steps and their environment are larger than 60 MiB together");
  wire::end_frame(frame, began);
  host_->out().append(frame);
}

void LocalBackend::Instances::start_failed(InstanceId id, const std::string& why) {
  scheduler_.post([weak = weak_from_this(), id, why] {
    if (const auto self = weak.lock()) self->on_ended(id, {EndReason::FailedToStart, why, {}});
  });
}

Status LocalBackend::Instances::ensure_host() {
  if (host_ && host_->alive()) return {};
  if (package_dir_.empty()) {
    ASSIGN_OR_RETURN(package_dir_, write_python_package(options_.work_dir));
  }
  HostProcess::Settings settings;
  settings.program = options_.host_program;
  settings.hello_timeout = options_.hello_timeout;
  settings.hello.template_idle = options_.template_idle;
  settings.hello.package_dir = package_dir_;
  settings.hello.instances_dir = host_directory(options_.work_dir, ++hosts_);
  // Filled in below: the object is not there yet, and nothing is called before the loop's next turn.
  const auto holder = std::make_shared<const HostProcess*>(nullptr);
  HostEvents events;
  events.on_frame = [this](const wire::Frame& frame) { on_frame(frame); };
  events.on_lost = [this, holder](const std::string& why, bool greeted) { on_host_lost(*holder, why, greeted); };
  ASSIGN_OR_RETURN(host_, HostProcess::spawn(scheduler_, io_, settings, std::move(events)));
  *holder = host_.get();
  log(LogLevel::Info, "runner started", {{"pid", std::to_string(host_->pid())}});
  return {};
}

void LocalBackend::Instances::deliver(InstanceId id, const std::vector<Delivery>& frame) {
  const auto found = instances_.find(id);
  if (found == instances_.end()) return;
  Instance& instance = found->second;
  std::vector<const Delivery*> fitting;
  std::vector<Outcome> refused;
  std::size_t bytes = 0;
  for (const Delivery& delivery : frame) {
    const std::size_t size = wire::encoded_bytes(delivery);
    Outstanding outstanding{delivery.id, delivery.run, size, false};
    outstanding.alone = !suspects_.empty() && suspects_.contains({instance.spec->pipeline_id, delivery.run});
    if (size > kMostDeliveryBytes || instance.bytes + size > kMostOutstandingBytes) {
      refused.push_back(not_started(delivery.id));
      if (size > kMostDeliveryBytes) {
        refused.back().kind = OutcomeKind::Rejected;
        refused.back().error = "the event and the stored results of its steps are larger than 60 MiB together";
      }
      outstanding.bytes = 0;
      instance.outstanding.push_back(outstanding);
      continue;
    }
    instance.outstanding.push_back(outstanding);
    instance.bytes += size;
    if (bytes + size > kSplitBytes) {
      put_deliveries(id, instance, fitting);
      fitting.clear();
      bytes = 0;
    }
    fitting.push_back(&delivery);
    bytes += size;
  }
  put_deliveries(id, instance, fitting);
  if (!refused.empty()) answer_later(id, std::move(refused));
}

void LocalBackend::Instances::put_deliveries(InstanceId id, Instance& instance,
                                             const std::vector<const Delivery*>& deliveries) {
  if (deliveries.empty() || !instance.host || !instance.host->alive()) return;
  std::string& out = instance.host->out();
  const std::size_t began = wire::begin_frame(out, wire::FrameType::Deliver, id);
  wire::put(out, static_cast<std::uint32_t>(deliveries.size()));
  for (const Delivery* delivery : deliveries) {
    const bool alone = !suspects_.empty() && suspects_.contains({instance.spec->pipeline_id, delivery->run});
    wire::encode_delivery(out, *delivery, alone ? wire::kAlone : std::uint16_t{0});
  }
  wire::end_frame(out, began);
}

// Never from inside a call.
void LocalBackend::Instances::answer_later(InstanceId id, std::vector<Outcome> outcomes) {
  scheduler_.post([weak = weak_from_this(), id, outcomes = std::move(outcomes)]() mutable {
    const auto self = weak.lock();
    if (!self) return;
    const auto found = self->instances_.find(id);
    if (found == self->instances_.end()) return;
    std::erase_if(outcomes, [&](const Outcome& outcome) { return !take(found->second, outcome.delivery); });
    if (!outcomes.empty()) found->second.listener->on_outcomes(id, std::move(outcomes));
  });
}

void LocalBackend::Instances::send(InstanceId id, wire::FrameType type) {
  const auto found = instances_.find(id);
  if (found == instances_.end() || !found->second.host || !found->second.host->alive()) return;
  wire::put_frame(found->second.host->out(), type, id);
}

void LocalBackend::Instances::on_frame(const wire::Frame& frame) {
  switch (frame.type) {
    case wire::FrameType::Ready:
      return on_ready(frame.instance);
    case wire::FrameType::Outcomes:
      return on_outcomes(frame.instance, frame.payload);
    case wire::FrameType::Log:
      if (options_.on_raw_output && !frame.payload.empty())
        options_.on_raw_output(frame.instance, frame.payload.substr(1));
      return;
    case wire::FrameType::Ended: {
      auto ended = wire::decode_ended(frame.payload);
      if (!ended) ended = wire::Ended{EndReason::Crashed, "the runner did not say how it ended", {}};
      return on_ended(frame.instance, std::move(*ended));
    }
    default:
      log(LogLevel::Error, "the runner sent a frame of an unknown type",
          {{"type", std::to_string(static_cast<int>(frame.type))}});
  }
}

void LocalBackend::Instances::on_ready(InstanceId id) {
  if (const auto found = instances_.find(id); found != instances_.end()) found->second.listener->on_ready(id);
}

void LocalBackend::Instances::on_outcomes(InstanceId id, std::string_view payload) {
  const auto found = instances_.find(id);
  if (found == instances_.end()) return;
  Instance& instance = found->second;
  auto received = wire::decode_outcomes(payload);
  if (!received) return log(LogLevel::Error, "the runner sent outcomes that cannot be read", {});
  std::vector<Outcome> outcomes;
  outcomes.reserve(received->size());
  for (auto& each : *received) {
    const auto answered = take(instance, each.outcome.delivery);
    if (!answered) continue;
    remember(instance, *answered, each);
    outcomes.push_back(std::move(each.outcome));
  }
  if (!outcomes.empty()) instance.listener->on_outcomes(id, std::move(outcomes));
}

// Of several events that had begun when their worker died each runs alone the next time; whatever comes of that, a
// death is then its own.
void LocalBackend::Instances::remember(const Instance& instance, const Outstanding& answered,
                                       const wire::ReceivedOutcome& received) {
  if (received.suspect) {
    if (suspects_.size() >= kMostSuspects) suspects_.erase(suspects_.begin());
    suspects_.insert({instance.spec->pipeline_id, answered.run});
  } else if (answered.alone && received.outcome.kind != OutcomeKind::NotStarted) {
    suspects_.erase({instance.spec->pipeline_id, answered.run});
  }
}

void LocalBackend::Instances::on_ended(InstanceId id, wire::Ended ended) {
  const auto found = instances_.find(id);
  if (found == instances_.end()) return;
  Instance instance = std::move(found->second);
  instances_.erase(found);
  if (!instance.outstanding.empty() && ended.reason != EndReason::HostLost) {
    std::vector<Outcome> outcomes;
    for (const Outstanding& each : instance.outstanding) outcomes.push_back(not_started(each.id));
    instance.listener->on_outcomes(id, std::move(outcomes));
  }
  instance.listener->on_ended({id, ended.reason, std::move(ended.detail), std::move(ended.trace)});
}

// One that never said hello has run nothing: that is no loss, and starting another would end the same way.
void LocalBackend::Instances::on_host_lost(const HostProcess* host, const std::string& why, bool greeted) {
  const EndReason reason = greeted ? EndReason::HostLost : EndReason::FailedToStart;
  log(LogLevel::Error, "the runner is lost, and its instances with it", {{"reason", why}});
  std::vector<InstanceId> lost;
  for (const auto& [id, instance] : instances_) {
    if (instance.host.get() == host) lost.push_back(id);
  }
  std::sort(lost.begin(), lost.end());
  const std::shared_ptr<HostProcess> keep = host_;
  if (host_.get() == host) host_.reset();
  for (const InstanceId id : lost) on_ended(id, {reason, why, {}});
}

void LocalBackend::Instances::close() {
  instances_.clear();
  host_.reset();
}

LocalBackend::LocalBackend(Scheduler& scheduler, boost::asio::io_context& io, LocalOptions options)
    : instances_(std::make_shared<Instances>(scheduler, io, std::move(options))) {}

LocalBackend::~LocalBackend() {
  instances_->close();
}

void LocalBackend::start(InstanceId instance, InstanceSpecRef spec, ComputeListener& listener) {
  instances_->start(instance, std::move(spec), listener);
}

void LocalBackend::deliver(InstanceId instance, const std::vector<Delivery>& frame) {
  instances_->deliver(instance, frame);
}

void LocalBackend::recall(InstanceId instance) {
  instances_->send(instance, wire::FrameType::Recall);
}

void LocalBackend::drain(InstanceId instance) {
  instances_->send(instance, wire::FrameType::Drain);
}

void LocalBackend::kill(InstanceId instance) {
  instances_->send(instance, wire::FrameType::Kill);
}

int LocalBackend::host_pid() const {
  return instances_->host_pid();
}

}  // namespace dhub::local
