// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "base/metrics.h"
#include "store/sqlite/store.h"

namespace dhub::wiring {

// Carries the store's own counts into the metrics. One thread.
class StoreMetrics {
 public:
  explicit StoreMetrics(Metrics& metrics);
  void update(const store::StoreCounters& now, std::uint64_t log_lines_dropped);

 private:
  store::StoreCounters last_;
  std::uint64_t last_dropped_ = 0;
  Counter& transactions_;
  Counter& refused_;
  Counter& rolled_back_;
  Counter& checkpoints_;
  Counter& messages_;
  Counter& message_bytes_;
  Counter& run_details_dropped_;
  Counter& log_lines_dropped_;
  Gauge& wal_bytes_;
  Gauge& queued_bytes_;
  Gauge& outbox_entries_;
  Gauge& outbox_bytes_;
};

}  // namespace dhub::wiring
