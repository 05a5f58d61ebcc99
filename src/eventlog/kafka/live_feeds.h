// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "eventlog/kafka/feed.h"

namespace dhub::kafka {

// The head of each partition that somebody follows, read once for all who do. Keeps what was read until everybody who
// follows has it, within a bound: who is slower than that falls behind and reads by a feed of his own until he has
// caught up. So a thousand idle triggers cost one client, and a slow one holds nobody back.
//
// Not thread-safe: under its owner's lock.
class LiveFeeds {
 public:
  using Key = std::pair<TopicUid, PartitionId>;
  using Confirm = std::function<bool(const Key&, std::uint64_t& asked)>;
  // `on_ready` is called on threads of the library and must only post. `confirm`: see Feed.
  LiveFeeds(std::function<Result<std::shared_ptr<Handle>>()> open_handle, std::function<void(const Key&)> on_ready,
            Confirm confirm)
      : open_handle_(std::move(open_handle)), on_ready_(std::move(on_ready)), confirm_(std::move(confirm)) {}

  // From here on `reader` follows the head, if it can go on from `at` there: the head is kept that far back, or can be
  // moved forward to it.
  Result<bool> join(const Key& key, const std::string& topic, std::uint64_t reader, Offset at);
  // What comes at or after `from`; none when `reader` does not follow, or has fallen behind (it follows no more then).
  std::optional<Feed::Taken> take(const Key& key, std::uint64_t reader, Offset from, std::size_t max_bytes);
  void leave(const Key& key, std::uint64_t reader);

 private:
  struct Kept {
    RecordBatchRef batch;
    Offset next{};
    std::size_t bytes = 0;
  };
  struct Head {
    std::unique_ptr<Feed> feed;
    std::deque<Kept> kept;
    Offset first{};  // of what is kept
    std::size_t bytes = 0;
    std::map<std::uint64_t, Offset> followers;  // and where each of them reads on
  };
  Status start(Head& head, const Key& key, const std::string& topic, Offset at);
  Feed::Taken take_fresh(Head& head, std::size_t max_bytes);
  static void drop_front(Head& head);
  static void forget_what_all_have(Head& head);

  std::function<Result<std::shared_ptr<Handle>>()> open_handle_;
  std::function<void(const Key&)> on_ready_;
  Confirm confirm_;
  std::shared_ptr<Handle> handle_;  // shared: with the records that it lent
  std::map<Key, Head> heads_;
};

}  // namespace dhub::kafka
