// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/message.h"
#include "ports/answer.h"

namespace dhub {

struct OutboxEntry {
  std::int64_t number = 0;  // rises within a topic, in the order of the commits
  std::string topic;        // always with its cluster: "main/orders"
  Message message;
};

// Publications to topics outside the store: stored by the commit that made them, sent afterwards, at least once. A
// queue for each topic, so that one that takes nothing holds no other up. Topics are named with their cluster.
// Thread-safe.
class Outbox {
 public:
  virtual ~Outbox() = default;

  // Oldest first, those after number `after`; at most `limit` of them and about `bytes`, at least one when there is
  // one.
  virtual Result<std::vector<OutboxEntry>> pending(const std::string& topic, std::int64_t after, std::size_t limit,
                                                   std::size_t bytes) const = 0;
  // They are where they belong: all up to and including `number`. Never blocks. `done` is called once, on a thread of
  // the store, when it is durable, or within remove() when it is turned away; when it fails they are sent again.
  virtual void remove(const std::string& topic, std::int64_t number, Answer<void> done) = 0;
  // Entries that wait, and the age of the oldest commit among them, told for the metrics.
  struct Backlog {
    std::int64_t entries = 0;
    std::int64_t bytes = 0;
  };
  virtual Result<Backlog> backlog(const std::string& topic) const = 0;
  // Those that have entries.
  virtual Result<std::vector<std::string>> topics() const = 0;

  // `on_growth` is called on a thread of the store after each commit that added entries; it must only post. Not called
  // any more once the handle is gone.
  class Watch {
   public:
    virtual ~Watch() = default;
  };
  [[nodiscard]] virtual std::unique_ptr<Watch> watch(std::function<void(const std::string& topic)> on_growth) = 0;
};

}  // namespace dhub
