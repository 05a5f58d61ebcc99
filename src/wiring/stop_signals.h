// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "base/time.h"

namespace dhub::wiring {

// SIGTERM, SIGINT and SIGHUP as something to wait for. Make it on the main thread before any other thread starts: they
// inherit the blocked signals, so that no code of ours ever runs inside a signal handler. A signal that was ignored
// when the program started (nohup, a background job of a shell) stays ignored.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  enum class Cause { Signal, Woken, TimedOut };
  struct Wakeup {
    Cause cause = Cause::TimedOut;
    int signal = 0;
  };
  // Blocks until a signal arrives, wake() is called, or the time is over (none: for ever). A signal goes first.
  [[nodiscard]] Wakeup wait(std::optional<Duration> timeout);
  // Any thread. The next wait() returns, or the one that waits.
  void wake();

 private:
  int signals_;
  int woken_;
};

// What every server process wants: a write to a closed socket is an error and no signal, and as many descriptors as
// the system lets it have.
void prepare_server_process();

// Undoes for a child program what StopSignals did: no signal is blocked.
void unblock_signals();

}  // namespace dhub::wiring
