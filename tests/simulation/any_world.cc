// SPDX-License-Identifier: Apache-2.0
#include "tests/simulation/any_world.h"

#include <algorithm>
#include <fmt/format.h>
#include <set>

namespace dhub::simulation {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

// Longest idle_timeout, and the longest time that a start is put off.
constexpr Duration kRest = seconds(5) + seconds(31);

double metric(const Metrics& metrics, const std::string& series) {
  const std::string text = metrics.render();
  const auto at = text.find(series + " ");
  return at == std::string::npos ? 0 : std::stod(text.substr(at + series.size() + 1));
}

// In half of the worlds there are fewer instances than the triggers would like.
service::SupervisorOptions options_of(std::uint64_t seed, const delivery::EngineLimits& limits) {
  service::SupervisorOptions options{3, seed, seconds(2), limits};
  if (seed % 4 < 2) options.most_instances = 1 + static_cast<std::int32_t>(seed % 4);
  return options;
}

}  // namespace

AnyWorld::AnyWorld(std::uint64_t seed) : choice_(seed), world(seed, options_of(seed, choice_.limits())) {
  SimTopic& orders = world.disk.make_topic("orders", {.partitions = choice_.partitions()});
  if (choice_.foreign()) {
    orders.topic.cluster = "main";
    world.disk.reads_later = choice_.one_in(2) ? 1 : 0.3;
    world.disk.foreign_topics[orders.topic.uid] = {orders.topic.uid, "main", "orders", ""};
  }
  world.create("p", choice_.options("orders"), choice_.steps());
  world.create("q", choice_.options("out"), choice_.steps());
  for (const char* id : {"p", "q"})
    if (!world.start(id)) world.checkers.violation("the world does not begin");
}

void AnyWorld::with_each_life(std::function<void(SimServer&)> told) {
  each_life_ = std::move(told);
  each_life_(world.server());
}

void AnyWorld::live(int deeds) {
  for (int i = 0; i < deeds && sound(); ++i) choose(world.up() ? kWhileUp : kWhileDown);
}

void AnyWorld::choose(const std::vector<Deed>& deeds) {
  int all = 0;
  for (const auto& deed : deeds) all += deed.weight;
  int left = choice_.below(all);
  for (const auto& deed : deeds) {
    left -= deed.weight;
    if (left < 0) return (this->*deed.does)();
  }
}

// ---- while it lives ----

void AnyWorld::check_status(const service::TriggerStatus& status) {
  const SimPipeline* pipeline = world.disk.pipeline(status.trigger.pipeline_id);
  if (!pipeline->trigger) return;
  if (world.checkers.alive(pipeline->id) > static_cast<std::size_t>(status.instances))
    world.checkers.violation(fmt::format("I10: {} instances of {} live, {} are told",
                                         world.checkers.alive(pipeline->id), pipeline->id, status.instances));
  for (const auto& partition : status.partitions)
    if (partition.end_known && partition.lag != std::max<std::int64_t>(partition.end.value - partition.cursor.value, 0))
      world.checkers.violation("I11: the lag is not the distance between cursor and end");
  // What was written in this very moment the server has not heard of.
  if (pipeline->changed_at == world.timeline.now().mono) return;
  if (status.ready) check_ready(status, *world.disk.position(pipeline->trigger->position));
}

void AnyWorld::check_ready(const service::TriggerStatus& status, const SimPosition& position) {
  const SimPipeline* pipeline = world.disk.pipeline(status.trigger.pipeline_id);
  if (pipeline->trigger->desired != DesiredState::Running)
    world.checkers.violation("I11: is ready though it is not to run: " + pipeline->id);
  // What was answered in this very moment may not have been heard yet.
  const auto refused = world.checkers.refused_since(position.uid);
  if (refused && *refused < world.timeline.now().mono)
    world.checkers.violation("I11: is ready though nothing can be stored: " + pipeline->id);
  for (const auto& partition : status.partitions) {
    const auto part = position.parts.find(partition.partition);
    if (part != position.parts.end() && partition.cursor.value > part->second.cursor)
      world.checkers.violation(
          fmt::format("I4: {} tells cursor {}, stored is {}", pipeline->id, partition.cursor, part->second.cursor));
  }
}

// ---- when the faults are over ----

void AnyWorld::heal() {
  end_faults();
  if (!world.up()) boot_server();
  bring_all_back();
  for (const char* id : {"p", "q"})
    if (!world.run_until_drained(id)) world.checkers.violation(fmt::format("I7: {} does not drain", id));
  if (*open_calls_ != 0) world.checkers.violation(fmt::format("I7: {} calls were not answered", *open_calls_));
  if (!world.run_for(kRest)) return;
  for (const char* id : {"p", "q"})
    if (world.alive(id) > 0) world.checkers.violation(fmt::format("I7: instances of {} do not go to zero", id));
  if (world.server().scheduler.armed_timers() > 0) world.checkers.violation("I7: somebody polls where nothing happens");
  check_wake();
  check_far();
  world.checkers.check_converged();
  check_read_back();
  check_dead_copies();
  check_told();
}

void AnyWorld::end_faults() {
  world.disk.faults = {};
  world.backend_faults.end();
  world.cluster.heal();
  if (!world.up()) return;
  // What has been seen wrong is tried again by itself, or by the next server.
  if (choice_.one_in(4)) kill_server();
}

// What was stopped or paused is wanted again. All else must come back by itself.
void AnyWorld::bring_all_back() {
  if (!world.run_for(seconds(10))) return;  // what users said before may still be on its way
  for (const char* id : {"p", "q"}) {
    const DesiredState desired = world.disk.pipeline(id)->trigger->desired;
    if (desired == DesiredState::Running) continue;
    const bool answered = desired == DesiredState::Paused ? world.resume(id).has_value() : world.start(id).has_value();
    if (!answered || world.disk.pipeline(id)->trigger->desired != DesiredState::Running)
      world.checkers.violation(fmt::format("{} cannot be brought back", id));
  }
}

void AnyWorld::check_wake() {
  const auto placed = world.publish("orders", {"last"}, "k0");
  const auto ended = [&] {
    return world.state("p", placed[0].offset.value, placed[0].partition.value) == FinalState::Succeeded;
  };
  if (!world.run_until(ended, seconds(1))) world.checkers.violation("I7: a message wakes nobody");
  for (const char* id : {"p", "q"}) {
    const auto status = world.status(id);
    if (!status || !status->ready) world.checkers.violation(fmt::format("I11: {} is not ready when all is well", id));
  }
}

// Outputs to another cluster are there at least once each, first in the order in which they were stored.
void AnyWorld::check_far() {
  if (!world.run_until([this] { return world.disk.outbox.empty(); }, minutes(5)))
    world.checkers.violation("I7: outputs wait though their cluster is well");
  std::vector<std::string> stored;
  for (const auto& [topic, value] : world.checkers.posted()) stored.push_back(value);
  std::vector<std::string> there;
  std::set<std::string> repeated;
  for (const auto& value : world.cluster.topics_of_it["main/far"])
    if (repeated.insert(value).second) there.push_back(value);
  if (there != stored)
    world.checkers.violation(
        fmt::format("I1: {} outputs were stored, {} others are in their cluster", stored.size(), there.size()));
}

// I8: what was acknowledged is there, but for what retention took.
void AnyWorld::check_read_back() {
  for (const auto& [place, message] : acked_) {
    const auto& log = world.disk.topic("orders")->partitions[static_cast<std::size_t>(place.first.value)];
    if (place.second.value < log.start) continue;
    const auto& record = log.records[static_cast<std::size_t>(place.second.value)];
    if (!record || record->key != message.key || record->value != message.value)
      world.checkers.violation(fmt::format("I8: {}/{} was acknowledged and is not there", place.first, place.second));
  }
}

// Every version of both pipelines has its dead letters published to `dead` as well.
void AnyWorld::check_dead_copies() {
  std::size_t letters = 0;
  for (const auto& [uid, pipeline] : world.disk.pipelines) letters += pipeline.dead_letters.size();
  const SimTopic* dead = world.disk.topic("dead");
  const std::size_t copies =
      dead == nullptr ? 0 : dead->partitions[0].records.size() - dead->partitions[0].holes.size();
  if (copies != letters)
    world.checkers.violation(fmt::format("I1: {} dead letters, {} were published", letters, copies));
}

// I11: the metrics of this life tell what was stored in it. Where a trigger was stopped meanwhile, what its end cut off
// is told twice, or only by the stored state.
void AnyWorld::check_told() {
  for (const char* id : {"p", "q"}) {
    if (world.checkers.loads_in_this_life(world.position(id)->uid) > 1) continue;
    for (const auto state :
         {FinalState::Succeeded, FinalState::Filtered, FinalState::DeadLettered, FinalState::Expired}) {
      const auto series =
          fmt::format(R"(dhub_events_finished_total{{pipeline="{}",state="{}"}})", id, to_string(state));
      const auto told = static_cast<std::int64_t>(metric(world.server().metrics, series));
      const auto stored = world.checkers.stored_in_this_life(world.disk.pipeline(id)->uid, state);
      if (told != stored)
        world.checkers.violation(fmt::format("I11: {} are told, {} were stored of {}", told, stored, series));
    }
  }
}

}  // namespace dhub::simulation
