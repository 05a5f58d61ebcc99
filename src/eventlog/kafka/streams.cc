// SPDX-License-Identifier: Apache-2.0
#include "eventlog/kafka/streams.h"

#include <algorithm>
#include <utility>

namespace dhub::kafka {
namespace {

constexpr std::size_t kMostBorrowed = 16;  // a client has some five threads and a few connections
constexpr Duration kTurn = std::chrono::seconds(2);
constexpr Duration kLateClose = std::chrono::seconds(10);

}  // namespace

Streams::Streams(Properties consumer, HandleEvents events, TopicTable& table, Inspector& inspector)
    : live([this] { return open_handle(); },
           [&table](const LiveFeeds::Key& key) { table.notify(key.first, key.second); },
           [this](const LiveFeeds::Key& key, std::uint64_t& asked) { return confirm(key, asked); }),
      consumer_(std::move(consumer)),
      events_(std::move(events)),
      table_(table),
      inspector_(inspector),
      closer_(std::make_shared<Closer>()) {}

Result<std::shared_ptr<Handle>> Streams::open_handle(const Properties& also) {
  Properties properties = consumer_;
  properties.insert(properties.end(), also.begin(), also.end());
  ASSIGN_OR_RETURN(auto handle, Handle::open(Role::Consumer, properties, events_));
  std::shared_ptr<Handle> shared(handle.release(),
                                 [closer = closer_](Handle* done) { closer->close(std::unique_ptr<Handle>(done)); });
  std::lock_guard lock(open_mutex_);
  open_.push_back(shared);
  return shared;
}

bool Streams::confirm(const LiveFeeds::Key& key, std::uint64_t& asked) {
  if (asked == 0) {
    asked = inspector_.rounds_begun() + 1;
    inspector_.look_at(key.first, key.second);
    return false;
  }
  const auto view = table_.standing(key.first);
  return view && !view->error && view->round >= asked;
}

// Whoever has had a client for a turn while others wait gives it up: one that is slow, or does not read at all, must
// not keep them out for ever.
Result<std::shared_ptr<Handle>> Streams::borrow(Borrower& who, std::uint64_t id) {
  const Instant now = read_clocks().mono;
  if (loaned_.size() >= kMostBorrowed) {
    const auto longest = std::min_element(loaned_.begin(), loaned_.end(),
                                          [](const Loaned& a, const Loaned& b) { return a.since < b.since; });
    if (now < longest->since + kTurn) {
      if (std::find(queue_.begin(), queue_.end(), id) == queue_.end()) queue_.push_back(id);
      return std::shared_ptr<Handle>();
    }
    const std::uint64_t revoked = longest->id;
    longest->who->revoke();
    table_.notify_listener(revoked, std::nullopt);  // none of what he waited for comes any more
  }
  ASSIGN_OR_RETURN(auto handle, open_handle());
  std::erase(queue_, id);
  loaned_.push_back({&who, id, now});
  return handle;
}

void Streams::give_back(Borrower& who) {
  const auto removed = std::erase_if(loaned_, [&](const Loaned& loaned) { return loaned.who == &who; });
  if (removed > 0) call_next();
}

// He may not need it any more, so the next round calls the one behind him.
void Streams::call_next() {
  if (queue_.empty()) return;
  table_.notify_listener(queue_.front(), std::nullopt);
  queue_.pop_front();
}

void Streams::poll() {
  std::vector<std::shared_ptr<Handle>> open;
  {
    std::lock_guard lock(open_mutex_);
    std::erase_if(open_, [&](const std::weak_ptr<Handle>& weak) {
      auto handle = weak.lock();
      if (!handle) return true;
      open.push_back(std::move(handle));
      return false;
    });
  }
  for (const auto& handle : open) handle->poll(0);
  const bool late = closer_->busy(read_clocks().mono) > kLateClose;
  if (!std::exchange(close_is_late_, late) && late && events_.on_log)
    events_.on_log(LogLevel::Warn, "a client does not close; it is left to itself, and the others go on");
  std::lock_guard lock(mutex);
  call_next();
}

}  // namespace dhub::kafka
