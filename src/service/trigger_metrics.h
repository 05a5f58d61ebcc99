// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "base/metrics.h"
#include "delivery/engine.h"

namespace dhub::service {

// The numbers that one trigger shows at /metrics, while it is started.
class TriggerMetrics {
 public:
  TriggerMetrics(Metrics& metrics, const std::string& pipeline_id);

  // Adds what the engine has counted since the last call.
  void count(const delivery::Tally& tally);
  void set_lag(std::int64_t lag) { lag_.set(static_cast<double>(lag)); }
  void set_instances(std::int64_t instances) { instances_.set(static_cast<double>(instances)); }
  void set_waits_for_instances(std::int64_t instances) { waits_.set(static_cast<double>(instances)); }
  void set_in_flight(std::int64_t events) { in_flight_.set(static_cast<double>(events)); }
  void observe_start(Duration took);
  void count_read(std::size_t records) { records_read_.add(records); }
  void count_seek() { seeks_.add(); }

 private:
  const Metrics::Hold hold_;  // of those below
  Counter& succeeded_;
  Counter& filtered_;
  Counter& dead_lettered_;
  Counter& expired_;
  Counter& failed_attempts_;
  Counter& records_read_;
  Counter& seeks_;
  Gauge& lag_;
  Gauge& instances_;
  Gauge& waits_;
  Gauge& in_flight_;
  Histogram& start_seconds_;
  delivery::Tally counted_;
};

}  // namespace dhub::service
