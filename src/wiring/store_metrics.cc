// SPDX-License-Identifier: Apache-2.0
#include "wiring/store_metrics.h"

#include <string>

#include "base/version.h"

namespace dhub::wiring {

StoreMetrics::StoreMetrics(Metrics& metrics)
    : transactions_(metrics.counter("dhub_store_transactions_total", "Durable commits, one fsync each.")),
      refused_(metrics.counter("dhub_store_refused_total", "Requests turned away because the queue was full.")),
      rolled_back_(metrics.counter("dhub_store_rolled_back_total", "Transactions lost to a full disk.")),
      checkpoints_(metrics.counter("dhub_store_checkpoints_total", "Checkpoints of the write-ahead log.")),
      messages_(metrics.counter("dhub_store_messages_total", "Messages appended to embedded topics.")),
      message_bytes_(metrics.counter("dhub_store_message_bytes_total", "Bytes of the batches appended.")),
      run_details_dropped_(
          metrics.counter("dhub_store_run_details_dropped_total", "Run details dropped because the queue was full.")),
      log_lines_dropped_(
          metrics.counter("dhub_log_lines_dropped_total", "Log lines dropped because nobody read them.")),
      wal_bytes_(metrics.gauge("dhub_store_wal_bytes", "Size of the write-ahead log.")),
      queued_bytes_(metrics.gauge("dhub_store_queued_bytes", "Bytes that wait for the writer.")),
      outbox_entries_(metrics.gauge("dhub_outbox_entries", "Outputs that wait for topics of other clusters.")),
      outbox_bytes_(metrics.gauge("dhub_outbox_bytes", "Their bytes.")) {
  metrics.gauge("dhub_build_info", "Always 1; the version is a label.", {{"version", std::string(kVersion)}}).set(1);
}

void StoreMetrics::update(const store::StoreCounters& now, std::uint64_t log_lines_dropped) {
  transactions_.add(now.transactions - last_.transactions);
  refused_.add(now.refused - last_.refused);
  rolled_back_.add(now.rolled_back - last_.rolled_back);
  checkpoints_.add(now.checkpoints - last_.checkpoints);
  messages_.add(now.messages - last_.messages);
  message_bytes_.add(now.message_bytes - last_.message_bytes);
  run_details_dropped_.add(now.run_details_dropped - last_.run_details_dropped);
  log_lines_dropped_.add(log_lines_dropped - last_dropped_);
  wal_bytes_.set(static_cast<double>(now.wal_bytes));
  queued_bytes_.set(static_cast<double>(now.queued_bytes));
  outbox_entries_.set(static_cast<double>(now.outbox_entries));
  outbox_bytes_.set(static_cast<double>(now.outbox_bytes));
  last_ = now;
  last_dropped_ = log_lines_dropped;
}

}  // namespace dhub::wiring
