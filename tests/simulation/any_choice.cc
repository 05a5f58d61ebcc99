// SPDX-License-Identifier: Apache-2.0
#include "tests/simulation/any_choice.h"

#include <fmt/format.h>

namespace dhub::simulation {

Duration AnyChoice::some_time() {
  switch (below(8)) {
    case 0:
      return std::chrono::seconds(below(30));
    case 1:
    case 2:
      return milliseconds(below(2000));
    case 3:
    case 4:
      return milliseconds(below(100));
    default:
      return std::chrono::microseconds(below(10'000));
  }
}

delivery::EngineLimits AnyChoice::limits() {
  delivery::EngineLimits limits;
  if (!one_in(3)) return limits;
  limits.window_offsets = 2 + below(30);
  if (one_in(2)) limits.window_bytes = static_cast<std::uint64_t>(300 + below(3000));
  limits.frame_events = static_cast<std::size_t>(1 + below(5));
  limits.frame_bytes = one_in(3) ? 30 : 4096;
  limits.reserve_step = 1 + below(12);
  limits.failing_rows = 1 + below(6);
  return limits;
}

std::string AnyChoice::options(const std::string& topic) {
  const std::string ordering = one_of({"key", "key", "key", "key", "partition", "none"});
  const std::string scaling =
      fmt::format(R"({{"max_instances":{},"concurrency":{},"idle_timeout":"{}","target_delay":"{}"}})", 1 + below(4),
                  one_in(5) ? 2 : 1, one_of({"0s", "20ms", "1s", "5s"}), one_of({"5ms", "1s"}));
  const std::string retry =
      fmt::format(R"({{"max_attempts":{},"initial_delay":"{}","max_delay":"2s","from":"{}"}})", max_attempts_,
                  one_of({"0s", "10ms", "500ms"}), one_of({"start", "failed_step"}));
  return fmt::format(
      R"({{"event":"{}","ordering":"{}","timeout":"{}","scaling":{},"retry":{},"dead_letter":{{"topic":"dead"}}}})",
      topic, ordering, one_of({"100ms", "2s", "20s"}), scaling, retry);
}

std::string AnyChoice::steps() {
  if (pass_through_) return "[]";
  return fmt::format(R"([{{"name":"work","script":"def handle(event): return {}"}}])", below(1000));
}

std::string AnyChoice::behaviour() {
  const bool fails = unlucky_ > 0 && one_in(unlucky_ == 1 ? 8 : 2);
  if (!fails) return one_of({"", "", "", "", "skip", "takes:50ms", "takes:400ms"});
  return one_of({"fail", "fail:1", "fail:2", "reject", "crash:1", "crash", "hang:1", "oom:1", "fail:1 retry_after:3s",
                 "takes:90ms crash:1", "takes:5s"});
}

Message AnyChoice::message() {
  Message message;
  const int key = below(keys_ + 2);
  if (key == keys_) message.key = "";
  if (key < keys_) message.key = fmt::format("k{}", key);
  message.value = behaviour() + (!pass_through_ && one_in(2) ? " to:out" : "") +
                  (!pass_through_ && one_in(3) ? " to:main/far" : "");
  return message;
}

}  // namespace dhub::simulation
