// SPDX-License-Identifier: Apache-2.0
// How what is wanted is made so.
#include "service/supervisor.h"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

#include "base/check.h"
#include "pipeline/definition.h"

namespace dhub::service {
namespace {

constexpr Duration kFirstRetry = std::chrono::seconds(1);
constexpr Duration kLongestRetry = std::chrono::seconds(30);
// Of what is not there at the moment, such as a broker: it is wanted back soon after it is there again.
constexpr Duration kLongestUnavailable = std::chrono::seconds(5);

constexpr std::int32_t kInstancesPerCore = 8;
constexpr std::uint64_t kByteFloors = 64;  // so many engines may hold their floor before it is as much as all of them

Machine machine_of(const SupervisorOptions& options) {
  const std::int32_t usual = kInstancesPerCore * std::max(options.cores, 1);
  return {options.most_instances > 0 ? options.most_instances : usual, options.instance_memory};
}

delivery::EngineLimits sharing(delivery::EngineLimits limits, delivery::ByteBudget& bytes) {
  limits.shared_bytes = &bytes;
  return limits;
}

}  // namespace

Supervisor::Supervisor(Scheduler& scheduler, Catalog& catalog, EventLog& event_log, Journal& journal,
                       RunArchive& run_archive, ComputeBackend& backend, Metrics& metrics, Logger& logger,
                       SupervisorOptions options)
    : catalog_(catalog),
      logger_(logger),
      options_(std::move(options)),
      bytes_{options_.limits.window_bytes, options_.limits.window_bytes / kByteFloors},
      slots_(scheduler, metrics, machine_of(options_)),
      world_{scheduler,
             event_log,
             journal,
             run_archive,
             backend,
             metrics,
             logger,
             instance_ids_,
             slots_,
             options_.cores,
             options_.seed,
             sharing(options_.limits, bytes_),
             options_.output_trouble},
      leash_(scheduler) {}

Supervisor::~Supervisor() = default;

Scheduler::TimerId Supervisor::after(Duration delay, std::function<void()> task) {
  return leash_.at(world_.scheduler.now().mono + delay, std::move(task));
}

// ---- recovering ----

void Supervisor::recover() {
  leash_.post([this] { recover_now(kFirstRetry); });
}

void Supervisor::recover_now(Duration retry_delay) {
  catalog_.ask_triggers(leash_.answer<std::vector<Trigger>>(
      [this, retry_delay](const auto& triggers) { take_all(triggers, retry_delay); }));
}

// All of them are handed to the store at once, so that it brings them back in a few transactions.
void Supervisor::take_all(const Result<std::vector<Trigger>>& triggers, Duration retry_delay) {
  if (shutting_down_) return;
  if (!triggers) {
    logger_.error("triggers cannot be read, trying again", {{"error", triggers.error().message}});
    after(retry_delay, [this, retry_delay] { recover_now(std::min(retry_delay * 2, kLongestRetry)); });
    return;
  }
  for (const auto& trigger : *triggers) {
    if (trigger.desired == DesiredState::Stopped && !places_.contains(trigger.pipeline)) continue;
    take(trigger);
    reconcile(trigger.pipeline);
  }
}

// ---- making it so ----

// Rows may come from several places; an older one changes nothing.
Supervisor::Place& Supervisor::take(const Trigger& row) {
  Place& place = places_[row.pipeline];
  if (row.revision <= place.wanted.revision) return place;
  if (row.version != place.wanted.version) place.definition.reset();
  place.wanted = row;
  return place;
}

bool Supervisor::is_wanted(const Place& place) const {
  return place.wanted.desired != DesiredState::Stopped && !shutting_down_;
}

// The next step from what is to what is wanted; idempotent. Called when either has changed.
void Supervisor::reconcile(PipelineUid pipeline) {
  advance(pipeline);
  show(pipeline);
}

void Supervisor::advance(PipelineUid pipeline) {
  const auto found = places_.find(pipeline);
  if (found == places_.end()) return;
  Place& place = found->second;
  switch (place.stage) {
    case Stage::Resting:
      if (is_wanted(place)) {
        if (place.retry == Scheduler::TimerId::None) load(pipeline, place);
      } else {
        forget_trouble(place);
        settle(place);
        places_.erase(found);
      }
      return;
    case Stage::Running:
      if (is_wanted(place) && goes_on(place)) return;
      place.stage = Stage::Stopping;
      return place.current->stop(options_.stop_grace);
    case Stage::Loading:
    case Stage::Stopping:
      return;  // it is looked at again when that is over
  }
}

// The page's steps 1 to 3, without a hole: the running subscription goes on with the new version where that is
// possible, else the new one begins when nothing of the old one runs any more.
bool Supervisor::goes_on(Place& place) {
  if (place.begin_anew) return false;
  const Trigger& running = place.current->spec().trigger;
  if (running.generation == place.wanted.generation) {
    if (running.desired != place.wanted.desired)
      place.current->set_paused(place.wanted.desired == DesiredState::Paused);
    return true;
  }
  if (!place.definition) return false;
  TriggerSpec spec{place.wanted, *place.definition};
  if (!place.current->can_switch_to(spec)) return false;
  place.current->switch_to(std::move(spec));
  return true;
}

void Supervisor::load(PipelineUid pipeline, Place& place) {
  place.stage = Stage::Loading;
  place.begin_anew = false;
  if (!place.metrics)
    place.metrics = std::make_unique<Metrics::Hold>(world_.metrics, "pipeline", place.wanted.pipeline_id);
  if (place.definition) return load_position(pipeline, place);
  const Version version = place.wanted.version;
  catalog_.ask_pipeline(pipeline, version, leash_.answer<PipelineVersion>([this, pipeline, version](auto read) {
    version_read(pipeline, version, std::move(read));
  }));
}

void Supervisor::version_read(PipelineUid pipeline, Version version, Result<PipelineVersion> read) {
  Place& place = rest(pipeline);
  if (!is_wanted(place) || place.wanted.version != version || place.definition) return reconcile(pipeline);
  const auto definition = [&]() -> Result<Definition> {
    if (!read) return fail(std::move(read.error()));
    return pipeline::parse_definition(read->id, read->name, read->steps_json, read->options_json);
  }();
  if (definition) {
    place.definition = *definition;
    return reconcile(pipeline);
  }
  if (retryable(definition.error().code)) return retry_later(pipeline, definition.error(), false);
  logger_.error("trigger cannot be resumed",
                {{"pipeline", place.wanted.pipeline_id}, {"error", definition.error().message}});
  place.error = definition.error();
  place.error_of_log = false;
  show(pipeline);
  settle(place);
}

// In this order: a topic that is out of reach must not raise the owner epoch at every try.
void Supervisor::load_position(PipelineUid pipeline, Place& place) {
  if (const auto topic = world_.event_log.topic(place.wanted.topic); !topic) {
    rest(pipeline);
    return retry_later(pipeline, topic.error(), true);
  }
  world_.journal.load(place.wanted.position, leash_.answer<LoadedPosition>([this, pipeline](auto loaded) {
    position_loaded(pipeline, std::move(loaded));
  }));
}

void Supervisor::position_loaded(PipelineUid pipeline, Result<LoadedPosition> loaded) {
  Place& place = rest(pipeline);
  if (!loaded && is_wanted(place)) return retry_later(pipeline, std::move(loaded.error()), false);
  const bool fits =
      loaded && is_wanted(place) && !place.begin_anew && place.definition && loaded->position == place.wanted.position;
  if (fits) return begin(pipeline, std::move(*loaded));
  if (loaded) release(*loaded);
  reconcile(pipeline);
}

void Supervisor::begin(PipelineUid pipeline, LoadedPosition loaded) {
  Place& place = places_.at(pipeline);
  const LoadedPosition head{loaded.position, loaded.owner_epoch, loaded.pass, {}, {}};
  auto begun =
      Subscription::begin(world_, {place.wanted, *place.definition}, std::move(loaded),
                          [this, pipeline](std::optional<Error> broken) { on_end(pipeline, std::move(broken)); });
  if (!begun) {
    release(head);
    return retry_later(pipeline, std::move(begun.error().error), begun.error().of_log);
  }
  place.stage = Stage::Running;
  place.current = std::move(*begun);
  place.current->when_changed([this, pipeline] { changed(pipeline); });
  forget_trouble(place);
  show(pipeline);
  settle(place);
}

// Nothing of the subscription runs any more.
void Supervisor::on_end(PipelineUid pipeline, std::optional<Error> broken) {
  Place& place = places_.at(pipeline);
  // By the seek that it made way for: nothing is wrong.
  const bool made_way = place.stage == Stage::Stopping && broken && broken->code == ErrorCode::Fenced;
  place.current.reset();
  rest(pipeline);
  // Not at once: if another owner has taken over, the two must not fence each other as fast as they can.
  if (broken && is_wanted(place) && !made_way) return retry_later(pipeline, std::move(*broken), false);
  reconcile(pipeline);
}

// Nothing runs at this moment: what was waited for has come, whatever is wanted next.
Supervisor::Place& Supervisor::rest(PipelineUid pipeline) {
  Place& place = places_.at(pipeline);
  place.stage = Stage::Resting;
  show(pipeline);
  for (const auto& told : std::exchange(place.when_resting, {})) told();
  return place;
}

void Supervisor::settle(Place& place) {
  for (const auto& told : std::exchange(place.when_settled, {})) told();
}

void Supervisor::retry_later(PipelineUid pipeline, Error error, bool of_log) {
  Place& place = places_.at(pipeline);
  // Once for each thing that is wrong, not at every try.
  if (!place.error || place.error->message != error.message)
    logger_.error("trigger cannot run, trying again",
                  {{"pipeline", place.wanted.pipeline_id}, {"error", error.message}});
  const Duration longest = error.code == ErrorCode::Unavailable ? kLongestUnavailable : kLongestRetry;
  place.error = std::move(error);
  place.error_of_log = of_log;
  place.retry_delay = std::clamp<Duration>(place.retry_delay * 2, kFirstRetry, longest);
  place.retry = after(place.retry_delay, [this, pipeline] {
    places_.at(pipeline).retry = Scheduler::TimerId::None;
    reconcile(pipeline);
  });
  show(pipeline);
  settle(place);
}

void Supervisor::forget_trouble(Place& place) {
  place.error.reset();
  place.retry_delay = Duration::zero();
  world_.scheduler.cancel(std::exchange(place.retry, Scheduler::TimerId::None));
}

// Of a position that nothing has run of: the next load must not suspect anybody. Failing to say so costs only caution.
void Supervisor::release(const LoadedPosition& loaded) {
  world_.journal.release(loaded.position, loaded.owner_epoch, [](const Status&) {});
}

}  // namespace dhub::service
