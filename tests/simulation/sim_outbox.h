// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "ports/outbox.h"
#include "tests/simulation/sim_disk.h"

namespace dhub::simulation {

// The outbox on a simulated disk; SimJournal fills it.
class SimOutbox final : public Outbox {
 public:
  explicit SimOutbox(SimDisk& disk) : disk_(disk) {
    disk_.on_post = [watches = watches_](const std::string& topic) {
      for (const auto& [id, on_growth] : watches->all) on_growth(topic);
    };
  }

  Result<std::vector<OutboxEntry>> pending(const std::string& topic, std::int64_t after, std::size_t limit,
                                           std::size_t bytes) const override {
    std::vector<OutboxEntry> entries;
    std::size_t used = 0;
    for (const auto& posted : disk_.outbox) {
      if (posted.topic != topic || posted.number <= after) continue;
      if (entries.size() >= limit || (!entries.empty() && used >= bytes)) break;
      used += size_of(posted);
      entries.push_back(posted);
    }
    return entries;
  }
  void remove(const std::string& topic, std::int64_t number, std::function<void(Status)> done) override {
    disk_.write([this, topic, number, done = std::move(done)]() -> SimDisk::Answer {
      std::erase_if(disk_.outbox,
                    [&](const OutboxEntry& posted) { return posted.topic == topic && posted.number <= number; });
      return [done] { done({}); };
    });
  }
  Result<Backlog> backlog(const std::string& topic) const override {
    Backlog waiting;
    for (const auto& posted : disk_.outbox) {
      if (posted.topic != topic) continue;
      ++waiting.entries;
      waiting.bytes += static_cast<std::int64_t>(size_of(posted));
    }
    return waiting;
  }
  Result<std::vector<std::string>> topics() const override {
    std::set<std::string> topics;
    for (const auto& posted : disk_.outbox) topics.insert(posted.topic);
    return std::vector<std::string>(topics.begin(), topics.end());
  }
  [[nodiscard]] std::unique_ptr<Watch> watch(std::function<void(const std::string& topic)> on_growth) override {
    watches_->all[++watches_->last_id] = std::move(on_growth);
    return std::make_unique<Handle>(watches_, watches_->last_id);
  }

 private:
  struct Watches {
    std::int64_t last_id = 0;
    std::map<std::int64_t, std::function<void(const std::string&)>> all;
  };
  class Handle : public Watch {
   public:
    Handle(std::shared_ptr<Watches> watches, std::int64_t id) : watches_(std::move(watches)), id_(id) {}
    ~Handle() override { watches_->all.erase(id_); }

   private:
    std::shared_ptr<Watches> watches_;
    std::int64_t id_;
  };
  static std::size_t size_of(const OutboxEntry& posted) {
    return posted.message.value.value_or("").size() + kRecordOverhead;
  }

  SimDisk& disk_;
  std::shared_ptr<Watches> watches_ = std::make_shared<Watches>();  // shared: a handle may be dropped after us
};

}  // namespace dhub::simulation
