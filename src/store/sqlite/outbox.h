// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ports/outbox.h"
#include "store/sqlite/outbox_tracker.h"
#include "store/sqlite/readers.h"
#include "store/sqlite/writer.h"

namespace dhub::store {

// The outbox in the embedded store; the journal fills it. Removal goes with the commits of the journal: before
// publishes, so that a topic that takes its messages again makes room at once.
class StoreOutbox : public Outbox {
 public:
  StoreOutbox(Writer& writer, Readers& readers, std::shared_ptr<OutboxTracker> tracker)
      : writer_(writer), readers_(readers), tracker_(std::move(tracker)) {}

  Result<std::vector<OutboxEntry>> pending(const std::string& topic, std::int64_t after, std::size_t limit,
                                           std::size_t bytes) const override;
  void remove(const std::string& topic, std::int64_t number, std::function<void(Status)> done) override;
  Result<Backlog> backlog(const std::string& topic) const override { return tracker_->backlog(topic); }
  Result<std::vector<std::string>> topics() const override { return tracker_->topics(); }
  [[nodiscard]] std::unique_ptr<Watch> watch(std::function<void(const std::string& topic)> on_growth) override {
    return tracker_->watch(std::move(on_growth));
  }

 private:
  Writer& writer_;
  Readers& readers_;
  std::shared_ptr<OutboxTracker> tracker_;  // shared with watches, which may outlive us
};

}  // namespace dhub::store
