// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/outbox.h"

#include <algorithm>

namespace dhub::store {
namespace {

constexpr std::size_t kMostBytes = 16U << 20;  // of one read: keeps its transaction short

}  // namespace

Result<std::vector<OutboxEntry>> StoreOutbox::pending(const std::string& topic, std::int64_t after, std::size_t limit,
                                                      std::size_t bytes) const {
  return with_reader(readers_, [&](Connection& db) {
    return outbox_entries(db, {topic, after, limit, std::min(bytes, kMostBytes)});
  });
}

void StoreOutbox::remove(const std::string& topic, std::int64_t number, std::function<void(Status)> done) {
  auto gone = std::make_shared<Backlog>();  // shared: std::function copies
  WriteRequest request;
  request.kind = WriteKind::Journal;
  request.apply = [gone, topic, number](WriteContext& context) -> Status {
    ASSIGN_OR_RETURN(*gone, remove_outbox_rows(context.db, topic, number));
    return {};
  };
  request.answer = [this, gone, topic, done = std::move(done)](const Status& status) {
    if (status) tracker_->removed(topic, *gone);
    done(status);
  };
  writer_.submit(std::move(request));
}

}  // namespace dhub::store
