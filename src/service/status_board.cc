// SPDX-License-Identifier: Apache-2.0
#include "service/status_board.h"

#include <fmt/format.h>
#include <vector>

namespace dhub::service {

class StatusBoard::Waiting : public Triggers::Wait {
 public:
  using Key = std::pair<PipelineUid, std::uint64_t>;
  Waiting(std::shared_ptr<Guarded<Content>> content, Key key) : content_(std::move(content)), key_(key) {}
  ~Waiting() override {
    // What it holds is let go outside the lock.
    const auto node = content_->with([this](Content& content) { return content.waits.extract(key_); });
  }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

 private:
  const std::shared_ptr<Guarded<Content>> content_;
  const Key key_;
};

void StatusBoard::post(PipelineUid pipeline, TriggerStatus status) {
  const Posted before = find(pipeline);
  if (before && before->etag == status.etag) return;
  show(pipeline, std::make_shared<const TriggerStatus>(std::move(status)));
}

void StatusBoard::remove(PipelineUid pipeline) {
  if (find(pipeline)) show(pipeline, nullptr);
}

// Told outside the lock: they may ask.
void StatusBoard::show(PipelineUid pipeline, Posted status) {
  const auto told = content_->with([&](Content& content) {
    std::vector<std::function<void()>> all;
    const auto first = content.waits.lower_bound({pipeline, 0});
    auto last = first;
    for (; last != content.waits.end() && last->first.first == pipeline; ++last) all.push_back(std::move(last->second));
    content.waits.erase(first, last);
    if (status)
      content.posted[pipeline] = std::move(status);
    else
      content.posted.erase(pipeline);
    return all;
  });
  for (const auto& one : told) one();
}

void StatusBoard::close() {
  const auto told = content_->with([](Content& content) {
    content.closed = true;
    return std::exchange(content.waits, {});
  });
  for (const auto& [key, one] : told) one();
}

StatusBoard::Posted StatusBoard::find(PipelineUid pipeline) const {
  return content_->with([&](const Content& content) {
    const auto found = content.posted.find(pipeline);
    return found == content.posted.end() ? nullptr : found->second;
  });
}

Result<std::unique_ptr<Triggers::Wait>> StatusBoard::wait(PipelineUid pipeline, const Posted& seen,
                                                          std::function<void()> told) {
  enum class Answer { Waits, Changed, TooMany };
  Waiting::Key key{pipeline, 0};
  const Answer answer = content_->with([&](Content& content) {
    const auto found = content.posted.find(pipeline);
    const Posted now = found == content.posted.end() ? nullptr : found->second;
    if (content.closed || now != seen) return Answer::Changed;
    if (content.waits.size() >= most_waits_) return Answer::TooMany;
    key.second = ++content.last_wait;
    content.waits.emplace(key, std::move(told));
    return Answer::Waits;
  });
  if (answer == Answer::TooMany)
    return fail(ErrorCode::Unavailable,
                fmt::format("Too many calls wait for a status to change (limit {}); ask without ?wait, or later.",
                            most_waits_));
  if (answer == Answer::Changed) {
    told();
    return std::unique_ptr<Triggers::Wait>();
  }
  return std::make_unique<Waiting>(content_, key);
}

std::size_t StatusBoard::waits() const {
  return content_->with([](const Content& content) { return content.waits.size(); });
}

}  // namespace dhub::service
