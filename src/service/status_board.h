// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "base/guarded.h"
#include "base/result.h"
#include "model/ids.h"
#include "service/triggers.h"

namespace dhub::service {

// What triggers say of themselves, for everybody who asks. The loop posts, any thread reads and waits; nobody who asks
// costs the loop anything, and who waits costs nothing at all while nothing changes. Waits may outlive the board.
class StatusBoard {
 public:
  using Posted = std::shared_ptr<const TriggerStatus>;  // shared: readers keep what they have while the next is posted

  static constexpr std::size_t kMostWaits = 10'000;
  explicit StatusBoard(std::size_t most_waits = kMostWaits)
      : most_waits_(most_waits), content_(std::make_shared<Guarded<Content>>()) {}

  // Loop only: shows the status, and tells those who wait for another than they have seen. The same once more is none.
  void post(PipelineUid pipeline, TriggerStatus status);
  // Loop only: there is nothing to say of it any more.
  void remove(PipelineUid pipeline);
  // Tells all who wait, and from now on everybody who comes to wait.
  void close();

  // Null when nothing is posted.
  [[nodiscard]] Posted find(PipelineUid pipeline) const;

  // Calls `told` once when something else than `seen` is posted, on the loop, or at once on the caller's thread; it
  // must be quick and not touch its own wait. Unavailable when too many wait already.
  [[nodiscard]] Result<std::unique_ptr<Triggers::Wait>> wait(PipelineUid pipeline, const Posted& seen,
                                                             std::function<void()> told);
  [[nodiscard]] std::size_t waits() const;

 private:
  struct Content {
    std::map<PipelineUid, Posted> posted;
    // By pipeline and number, so that a post finds its own.
    std::map<std::pair<PipelineUid, std::uint64_t>, std::function<void()>> waits;
    std::uint64_t last_wait = 0;
    bool closed = false;
  };
  class Waiting;
  void show(PipelineUid pipeline, Posted status);

  const std::size_t most_waits_;
  std::shared_ptr<Guarded<Content>> content_;  // shared: with waits, which may be dropped after us
};

}  // namespace dhub::service
