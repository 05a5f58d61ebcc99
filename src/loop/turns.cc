// SPDX-License-Identifier: Apache-2.0
#include "loop/turns.h"

#include <sys/resource.h>

namespace dhub::loop {
namespace {

long voluntary_switches() {
  rusage used{};
  getrusage(RUSAGE_THREAD, &used);
  return used.ru_nvcsw;
}

}  // namespace

void Turns::run(const Scheduler::Task& task) {
  const long before = watch_ == Watch::Waits ? voluntary_switches() : 0;
  const Instant begun = read_clocks().mono;
  task();
  const Duration took = read_clocks().mono - begun;
  if (took > longest()) longest_.store(took, std::memory_order_relaxed);
  if (watch_ == Watch::Waits && voluntary_switches() != before) waits_.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace dhub::loop
