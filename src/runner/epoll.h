// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>

#include "base/time.h"
#include "runner/descriptor.h"

namespace dhub::runner {

// Something that waits for a descriptor. Must be taken out of the Epoll, and outlive the turn in which it is, before it
// is destroyed.
class Source {
 public:
  virtual ~Source() = default;
  // `events` are EPOLLIN and so on.
  virtual void on_events(std::uint32_t events) = 0;
};

// Readiness of descriptors, level-triggered. One thread.
class Epoll {
 public:
  Epoll();

  void add(int descriptor, std::uint32_t events, Source& source);
  void change(int descriptor, std::uint32_t events, Source& source);
  void remove(int descriptor);
  // Waits for events, at most until `until`, and hands them out.
  void turn(std::optional<Instant> until);

 private:
  Descriptor epoll_;
};

}  // namespace dhub::runner
