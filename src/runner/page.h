// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "model/ids.h"
#include "runner/descriptor.h"

namespace dhub::runner {

// A delivery that has begun and not finished.
struct Begun {
  DeliveryId delivery{};
  Instant since{};
  std::size_t slot = 0;
};

// The memory that host and worker share (layout: docs/specs/frames.md, python/dhub/_page.py). The worker notes in it
// what it has begun, and writes what is finished there before it sends it, so that its death names the event that it
// ran and loses no outcome. The worker runs user code: everything read from here is checked.
//
// Read while the worker lives, it is a hint (what it says may be over a moment later); read after its death, it is what
// happened.
class SharedPage {
 public:
  static Result<SharedPage> create(std::uint64_t log_limit, std::int32_t slots);
  SharedPage(SharedPage&& other) noexcept;
  SharedPage& operator=(SharedPage&& other) noexcept;
  ~SharedPage();

  // For the worker; we keep the mapping only.
  [[nodiscard]] Descriptor take_descriptor() { return std::move(memory_); }

  // What has not begun of the first `frames` deliver frames is to be answered NotStarted.
  void recall(std::uint64_t frames);
  // What the worker had noted before it could see our last recall() is seen by what we read after this. Needs a worker
  // that has asked for it (python/dhub/template.py); it costs microseconds, and nobody waits.
  void catch_up();
  // The worker runs several events at a time; known when it is ready.
  [[nodiscard]] bool several() const;

  [[nodiscard]] std::vector<Begun> begun() const;
  // These, and those that are finished while their outcome is still on its way into the socket.
  [[nodiscard]] std::vector<DeliveryId> noted() const;
  // The results area, as far as it is used: outcomes without a frame around them.
  [[nodiscard]] std::string_view finished_outcomes() const;
  // Of the delivery in a slot: which step ran, and what the steps before it resulted in.
  [[nodiscard]] std::uint16_t step(std::size_t slot) const;
  [[nodiscard]] std::string_view finished_steps(std::size_t slot) const;
  // What the one that runs has printed, where one runs at a time.
  [[nodiscard]] std::string_view log() const;
  // The worker ended itself because its memory was exhausted.
  [[nodiscard]] bool gave_up() const;

 private:
  SharedPage(Descriptor memory, char* start, std::size_t size);
  [[nodiscard]] std::uint64_t word(std::size_t index) const;
  void set_word(std::size_t index, std::uint64_t value);

  Descriptor memory_;
  char* start_ = nullptr;
  std::size_t size_ = 0;
  // Our own copy of the layout: the worker could change the one in the page.
  std::uint64_t layout_[16] = {};
};

}  // namespace dhub::runner
