// SPDX-License-Identifier: Apache-2.0
#include "service/trigger_metrics.h"

namespace dhub::service {
namespace {

Counter& finished(Metrics& metrics, const std::string& pipeline_id, const char* state) {
  return metrics.counter("dhub_events_finished_total", "Events that reached a final state.",
                         {{"pipeline", pipeline_id}, {"state", state}});
}

void add_difference(Counter& counter, std::int64_t now, std::int64_t before) {
  if (now > before) counter.add(static_cast<std::uint64_t>(now - before));
}

}  // namespace

TriggerMetrics::TriggerMetrics(Metrics& metrics, const std::string& pipeline_id)
    : hold_(metrics, "pipeline", pipeline_id),
      succeeded_(finished(metrics, pipeline_id, "succeeded")),
      filtered_(finished(metrics, pipeline_id, "filtered")),
      dead_lettered_(finished(metrics, pipeline_id, "dead_lettered")),
      expired_(finished(metrics, pipeline_id, "expired")),
      failed_attempts_(metrics.counter("dhub_attempts_failed_total", "Attempts that failed and were charged.",
                                       {{"pipeline", pipeline_id}})),
      records_read_(metrics.counter("dhub_records_read_total",
                                    "Records read from the topic: some twice, when their bytes had to be let go.",
                                    {{"pipeline", pipeline_id}})),
      seeks_(metrics.counter("dhub_reader_seeks_total", "How often a second reading of a partition began elsewhere.",
                             {{"pipeline", pipeline_id}})),
      lag_(metrics.gauge("dhub_trigger_lag_messages", "Messages between cursor and end of the topic.",
                         {{"pipeline", pipeline_id}})),
      instances_(metrics.gauge("dhub_instances", "Instances of the event service, in whatever state.",
                               {{"pipeline", pipeline_id}})),
      waits_(metrics.gauge("dhub_trigger_waits_for_instances",
                           "Instances that are wanted, but that the machine does not carry beside those of others.",
                           {{"pipeline", pipeline_id}})),
      in_flight_(metrics.gauge("dhub_events_in_flight", "Events at an instance.", {{"pipeline", pipeline_id}})),
      start_seconds_(metrics.histogram("dhub_instance_start_seconds", "From the decision to a ready instance.",
                                       {{"pipeline", pipeline_id}})) {}

void TriggerMetrics::count(const delivery::Tally& tally) {
  add_difference(succeeded_, tally.succeeded, counted_.succeeded);
  add_difference(filtered_, tally.filtered, counted_.filtered);
  add_difference(dead_lettered_, tally.dead_lettered, counted_.dead_lettered);
  add_difference(expired_, tally.expired, counted_.expired);
  add_difference(failed_attempts_, tally.failed_attempts, counted_.failed_attempts);
  counted_ = tally;
}

void TriggerMetrics::observe_start(Duration took) {
  start_seconds_.observe(std::chrono::duration<double>(took).count());
}

}  // namespace dhub::service
