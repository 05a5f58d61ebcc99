// SPDX-License-Identifier: Apache-2.0
#include "tests/simulation/behaviour.h"

#include <map>

#include "base/check.h"

namespace dhub::simulation {
namespace {

const std::map<std::string_view, OutcomeKind>& kinds() {
  static const std::map<std::string_view, OutcomeKind> all = {
      {"skip", OutcomeKind::Filtered}, {"reject", OutcomeKind::Rejected}, {"fail", OutcomeKind::Failed},
      {"crash", OutcomeKind::Crashed}, {"hang", OutcomeKind::TimedOut},   {"oom", OutcomeKind::OutOfMemory}};
  return all;
}

void add_word(Behaviour& behaviour, std::string_view word, std::int32_t attempt) {
  const auto colon = word.find(':');
  const auto name = word.substr(0, colon);
  const std::string argument(colon == std::string_view::npos ? "" : word.substr(colon + 1));
  if (name == "to") {
    behaviour.publishes_to.push_back(argument);
  } else if (name == "takes" || name == "retry_after") {
    const auto duration = parse_duration(argument);
    CHECK(duration.has_value());
    (name == "takes" ? behaviour.takes : behaviour.retry_after) = *duration;
  } else if (const auto kind = kinds().find(name); kind != kinds().end()) {
    if (argument.empty() || attempt <= std::stoi(argument)) behaviour.kind = kind->second;
  }
}

}  // namespace

Behaviour behaviour_of(std::string_view value, std::int32_t attempt) {
  Behaviour behaviour;
  while (!value.empty()) {
    const auto space = value.find(' ');
    add_word(behaviour, value.substr(0, space), attempt);
    value.remove_prefix(space == std::string_view::npos ? value.size() : space + 1);
  }
  return behaviour;
}

}  // namespace dhub::simulation
