// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "ports/outbox.h"
#include "store/sqlite/outbox_rows.h"

namespace dhub::store {

// How much of the outbox waits for each topic, and who wants to hear when it becomes more. Told by the writer's
// thread what is durable, so that nobody has to count rows. Thread-safe. Callbacks run under the lock, so that none is
// under way when a watch is gone; that is why they must only post.
class OutboxTracker : public std::enable_shared_from_this<OutboxTracker> {
 public:
  using Backlogs = std::map<std::string, Outbox::Backlog>;
  explicit OutboxTracker(Backlogs waiting) : backlogs_(std::move(waiting)) {}

  void added(const std::vector<OutboxRow>& rows);
  void removed(const std::string& topic, const Outbox::Backlog& gone);

  [[nodiscard]] Outbox::Backlog backlog(const std::string& topic) const;
  [[nodiscard]] Outbox::Backlog total() const;
  [[nodiscard]] std::vector<std::string> topics() const;
  std::unique_ptr<Outbox::Watch> watch(std::function<void(const std::string&)> on_growth);

 private:
  class Handle;
  void forget(std::uint64_t id);

  mutable std::mutex mutex_;
  Backlogs backlogs_;  // none is empty
  std::uint64_t last_id_ = 0;
  std::map<std::uint64_t, std::function<void(const std::string&)>> watches_;
};

}  // namespace dhub::store
