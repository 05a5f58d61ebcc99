// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "runner/descriptor.h"
#include "runner/epoll.h"

namespace dhub::runner {

// What a process writes to its descriptors 1 and 2. It is always read on, so that nobody hangs in a write, but what is
// passed on and what is read are limited in rate: the rest is dropped, and a writer without end waits. The last bytes
// are kept, for when the process dies.
class LogPipe : public Source {
 public:
  using Sink = std::function<void(std::string_view text, bool cut)>;

  // Answers the writing end. Not open when there are no descriptors left.
  Descriptor open(Epoll& epoll, Sink sink);
  ~LogPipe() override { close(); }
  void close();

  void on_events(std::uint32_t events) override;
  // Reads what is left after the process died.
  void drain();
  // When reading goes on after a pause; call resume() then.
  [[nodiscard]] std::optional<Instant> paused_until() const { return paused_until_; }
  void resume();

  [[nodiscard]] std::string_view tail() const { return tail_; }
  // Bytes that have been read so far, to tell new text in the tail from old.
  [[nodiscard]] std::uint64_t total() const { return total_; }
  [[nodiscard]] std::string_view tail_since(std::uint64_t total) const;

 private:
  bool read_once();
  void take(std::string_view text);

  Epoll* epoll_ = nullptr;
  Descriptor pipe_;
  Sink sink_;
  std::string tail_;
  std::uint64_t total_ = 0;
  Instant window_began_{};
  std::size_t window_read_ = 0;
  std::size_t window_passed_ = 0;
  bool cut_told_ = false;
  std::optional<Instant> paused_until_;
};

}  // namespace dhub::runner
