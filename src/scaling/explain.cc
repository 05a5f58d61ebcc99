// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <fmt/format.h>
#include <utility>

#include "scaling/decide.h"
#include "scaling/work.h"

namespace dhub::scaling {
namespace {

std::string counted(std::int64_t n, std::string_view noun) {
  return fmt::format("{} {}{}", n, noun, n == 1 ? "" : "s");
}

// Three digits are enough for a reader: "12.3ms", "1.5s".
std::string rounded(Duration time) {
  constexpr std::array<std::pair<double, std::string_view>, 4> kUnits{
      {{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}, {1, "ns"}}};
  const auto ns = static_cast<double>(time.count());
  if (ns >= 1e11) return to_string(std::chrono::duration_cast<std::chrono::seconds>(time));
  for (const auto& [size, unit] : kUnits)
    if (ns >= size) return fmt::format("{:.4g}{}", ns / size, unit);
  return "0s";
}

// "5000 events x 10ms (assumed) / 1s / 4 at a time = 12.5"
std::string sum(const Observations& seen, const Scaling& scaling) {
  const char* assumed = seen.service_time ? "" : " (assumed)";
  const std::string together = scaling.concurrency > 1 ? fmt::format(" / {} at a time", scaling.concurrency) : "";
  return fmt::format("{} x {}{} / {}{} = {:.4g}", counted(events(seen), "event"), rounded(service_time(seen)), assumed,
                     to_string(scaling.target_delay), together, asked_for(seen, scaling));
}

std::string idleness(const Observations& seen, const Scaling& scaling) {
  if (seen.blocked > 0)
    return fmt::format("{} for an earlier one of the same key, none can run now",
                       counted(seen.blocked, "event") + (seen.blocked == 1 ? " waits" : " wait"));
  if (seen.starting + seen.idle == 0) return "no events";
  return fmt::format("no events; an idle instance ends after {} (idle_timeout)", to_string(scaling.idle_timeout));
}

std::string because(const Observations& seen, const Scaling& scaling, const Plan& plan) {
  const bool any = seen.runnable + seen.in_flight > 0;
  const std::string work = any ? sum(seen, scaling) : idleness(seen, scaling);
  switch (plan.cause) {
    case Cause::NoWork:
    case Cause::Work:
      return work;
    case Cause::AtOnce:
      return fmt::format("{}, but only {} could have work at the same time", work, plan.wanted);
    case Cause::HeldUp:
      return fmt::format("{}, beside {} that something long holds up", work, seen.held_up);
    case Cause::MaxInstances:
      return fmt::format("{}, at most {} (max_instances)", work, scaling.max_instances);
    case Cause::Busy:
      return fmt::format("{}, and {} busy", work, seen.busy == 1 ? "1 is" : fmt::format("{} are", seen.busy));
    case Cause::MinInstances:
      return fmt::format("{}, at least {} (min_instances)", work, plan.wanted);
  }
  return work;
}

}  // namespace

std::string explain(const Observations& seen, const Scaling& scaling, const Plan& plan) {
  const std::string number = plan.wanted == 0 ? "No instances" : counted(plan.wanted, "instance");
  std::string text = fmt::format("{}: {}.", number, because(seen, scaling, plan));
  const std::int32_t missing = plan.wanted - seen.starting - seen.idle - seen.busy - plan.start;
  if (missing > 0) text += fmt::format(" {} more when others have ended.", missing);
  return text;
}

}  // namespace dhub::scaling
