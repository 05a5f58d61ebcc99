// SPDX-License-Identifier: Apache-2.0
#include "tests/simulation/sim_world.h"

#include <fmt/format.h>
#include <utility>

#include "base/check.h"

namespace dhub::simulation {

using service::Triggers;

SimServer::SimServer(const Around& around, Logger::Sink log, service::SupervisorOptions options)
    : scheduler(around.timeline),
      event_log(around.disk),
      journal(around.disk),
      catalog(around.disk),
      outbox(around.disk),
      backend(scheduler, around.random, around.faults, around.observer),
      logger(LogFormat::Logfmt, LogLevel::Info, std::move(log)),
      supervisor(scheduler, catalog, event_log, journal, run_archive, backend, metrics, logger, options),
      outbox_drain(scheduler, outbox, around.cluster, metrics, logger, options.seed) {}

SimWorld::SimWorld(std::uint64_t seed, service::SupervisorOptions options)
    : random(seed), checkers(timeline, trace, options.cores), disk(timeline, random, checkers), options_(options) {
  checkers.look_at(disk);
  boot();
}

SimWorld::~SimWorld() {
  if (up()) kill();
}

void SimWorld::boot() {
  CHECK(!up());
  checkers.server_booted();
  // The log's own clock is the machine's: only what comes after the time is the same in every run.
  const auto log = [this](std::string_view line) {
    const auto message = line.find("level=");
    trace.note(std::string(line.substr(message == std::string_view::npos ? 0 : message)));
    return true;
  };
  const SimServer::Around around{timeline, random, disk, cluster, backend_faults, checkers};
  server_ = std::make_unique<SimServer>(around, log, options_);
  server_->outbox_drain.start();
  server_->supervisor.recover();
}

void SimWorld::kill() {
  CHECK(up());
  disk.crash();
  checkers.server_killed();
  server_.reset();
}

bool SimWorld::shut_down(Duration grace, Duration most) {
  bool done = false;
  server_->supervisor.shutdown(grace, [&done] { done = true; });
  const bool in_time = run_until([&] { return done; }, most);
  if (checkers.alive() > 0) checkers.violation("I10: instances outlive the server's shutdown");
  disk.settle();
  server_.reset();
  return in_time;
}

template <typename T>
Result<T> SimWorld::wait_for(const std::function<void(Triggers::Done<T>)>& call) {
  // Shared: an answer may come after we have given up.
  auto answer = std::make_shared<std::optional<Result<T>>>();
  call([this, answer](Result<T> result) {
    if (answer->has_value()) checkers.violation("a call was answered twice");
    *answer = std::move(result);
  });
  if (!run_until([&] { return answer->has_value(); })) {
    checkers.violation("a call was not answered");
    return fail(ErrorCode::DeadlineExceeded, "no answer");
  }
  return **answer;
}

void SimWorld::create(const std::string& id, const std::string& options, const std::string& steps) {
  PipelineVersion content;
  content.id = id;
  content.name = id;
  content.options_json = options;
  content.steps_json = steps;
  content.metadata_json = "{}";
  CHECK(server_->catalog.create_pipeline(content).has_value());
}

Version SimWorld::put(const std::string& id, const std::string& options, const std::string& steps) {
  PipelineChange change;
  change.options_json = options;
  change.steps_json = steps;
  const auto stored = server_->catalog.put_pipeline(id, change, std::nullopt);
  CHECK(stored.has_value());
  return stored->version;
}

Result<service::Started> SimWorld::start(const std::string& id, std::optional<service::StartFrom> from,
                                         std::optional<Version> version) {
  return start({id, version, from});
}

Result<service::Started> SimWorld::start(const service::StartCommand& command) {
  return wait_for<service::Started>([&](auto done) { triggers().start(command, std::move(done)); });
}

Status SimWorld::stop(const std::string& id) {
  const auto stopped = wait_for<Triggers::Nothing>([&](auto done) { triggers().stop(id, false, std::move(done)); });
  if (!stopped) return fail(stopped.error());
  checkers.check_gone(id);
  return {};
}

Status SimWorld::pause(const std::string& id) {
  const auto paused = wait_for<Triggers::Nothing>([&](auto done) { triggers().pause(id, std::move(done)); });
  if (!paused) return fail(paused.error());
  return {};
}

Status SimWorld::resume(const std::string& id) {
  const auto resumed = wait_for<Triggers::Nothing>([&](auto done) { triggers().resume(id, std::move(done)); });
  if (!resumed) return fail(resumed.error());
  return {};
}

Result<service::TriggerStatus> SimWorld::status(const std::string& id) {
  return triggers().status(id);
}

Result<service::MessageState> SimWorld::message_state(const std::string& id, std::int64_t offset,
                                                      std::int32_t partition) {
  return wait_for<service::MessageState>(
      [&](auto done) { triggers().message_state(id, PartitionId{partition}, Offset{offset}, std::move(done)); });
}

std::vector<Placement> SimWorld::publish(const std::string& topic, const std::vector<std::string>& values,
                                         const std::optional<std::string>& key) {
  PublishRequest request;
  request.topic = topic;
  for (const auto& value : values) request.messages.push_back({key, {}, value, {}});
  const auto placed = wait_for<std::vector<Placement>>(
      [&](auto done) { server_->event_log.publish(std::move(request), std::move(done)); });
  CHECK(placed.has_value());
  return *placed;
}

bool SimWorld::run_for(Duration duration) {
  const bool moved = timeline.run_for(duration);
  if (!moved) checkers.violation("somebody spins");
  return moved;
}

bool SimWorld::run_until(const std::function<bool()>& done, Duration most) {
  if (timeline.run_until(done, most)) return true;
  return done();
}

bool SimWorld::run_until_drained(const std::string& id, Duration most) {
  return run_until(
      [&] {
        const SimPosition* own = position(id);
        if (own == nullptr) return false;
        for (const auto& [partition, part] : own->parts)
          if (part.cursor < disk.topic(own->topic)->partitions[static_cast<std::size_t>(partition.value)].end())
            return false;
        return true;
      },
      most);
}

SimPosition* SimWorld::position(const std::string& id) {
  const SimPipeline* pipeline = disk.pipeline(id);
  return pipeline == nullptr || !pipeline->trigger ? nullptr : disk.position(pipeline->trigger->position);
}

FinalState SimWorld::state(const std::string& id, std::int64_t offset, std::int32_t partition) {
  const SimPosition* own = position(id);
  if (own == nullptr) return FinalState::None;
  const auto part = own->parts.find(PartitionId{partition});
  if (part == own->parts.end()) return FinalState::None;
  const auto found = part->second.states.find(offset);
  return found == part->second.states.end() ? FinalState::None : found->second;
}

}  // namespace dhub::simulation
