// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "ports/event_log.h"
#include "tests/simulation/timeline.h"

namespace dhub::simulation {

// A cluster that takes what is published, after a while, or does not. Only that can be asked of it.
class FakeCluster : public EventLog {
 public:
  explicit FakeCluster(Timeline& timeline) : timeline_(timeline) {}

  std::map<std::string, std::vector<std::string>> topics_of_it;
  std::map<std::string, ErrorCode> refusing;  // by topic
  std::set<std::string> too_large;            // values that no topic takes
  int requests = 0;
  int under_way = 0;
  int most_under_way = 0;
  Duration takes = milliseconds(5);
  bool forgets = false;  // a lie, for proving that the checkers see it: acknowledges and keeps nothing

  void heal() {
    refusing.clear();
    takes = milliseconds(5);
  }

  void publish(PublishRequest request, PublishDone done) override {
    ++requests;
    most_under_way = std::max(most_under_way, ++under_way);
    timeline_.after(takes, [this, request = std::move(request), done = std::move(done)] {
      --under_way;
      done(take(request));
    });
  }

  Result<Topic> create_topic(const std::string&, const TopicSettings&) override { return nothing(); }
  Result<Topic> ensure_topic(const std::string&) override { return nothing(); }
  Result<Topic> update_topic(const std::string&, const TopicSettings&) override { return nothing(); }
  Result<Topic> topic(const std::string&) const override { return nothing(); }
  Result<Topic> topic(TopicUid) const override { return nothing(); }
  Result<std::vector<Topic>> topics(const std::string&, std::size_t) const override { return nothing(); }
  Status delete_topic(const std::string&) override { return nothing(); }
  Result<ReadResult> read(TopicUid, PartitionId, Offset, std::size_t) const override { return nothing(); }
  std::unique_ptr<TopicReader> open_reader(TopicUid, OnNews) override { return nullptr; }
  void note_cursors(TopicUid, const std::string&, const std::vector<StartOffset>&) override {}
  Result<std::vector<StartOffset>> group_offsets(TopicUid, const std::string&) const override { return nothing(); }

 private:
  static tl::unexpected<Error> nothing() { return fail(ErrorCode::Unsupported, "Not here."); }
  // What comes before a message that is refused is stored all the same, as brokers do it.
  Result<std::vector<Placement>> take(const PublishRequest& request) {
    if (const auto code = refusing.find(request.topic); code != refusing.end()) return fail(code->second, "refused");
    std::vector<Placement> placements;
    for (const auto& message : request.messages) {
      const std::string value = message.value.value_or("");
      if (too_large.contains(value)) return fail(ErrorCode::TooLarge, "too large");
      if (!forgets) topics_of_it[request.topic].push_back(value);
      placements.emplace_back();
    }
    return placements;
  }

  Timeline& timeline_;
};

}  // namespace dhub::simulation
