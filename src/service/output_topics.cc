// SPDX-License-Identifier: Apache-2.0
#include "service/output_topics.h"

#include <fmt/format.h>

namespace dhub::service {

void OutputTopics::add(const Definition& definition) {
  for (const auto& step : definition.steps)
    if (step.result_topic) topics_.insert(*step.result_topic);
  if (definition.options.dead_letter_topic) topics_.insert(*definition.options.dead_letter_topic);
}

void OutputTopics::add(const std::vector<Publication>& publications) {
  for (const auto& publication : publications)
    if (topics_.size() < kMostTopics) topics_.insert(publication.topic);
}

std::optional<Condition> OutputTopics::waiting(const OutputTrouble& trouble) const {
  if (!trouble) return std::nullopt;
  for (const auto& topic : topics_)
    if (const auto error = trouble(topic))
      return Condition{"Outputs", false, "OutputsWait", fmt::format("Outputs to '{}' wait: {}", topic, error->message),
                       "Let the topic take them (its cluster, its limits, the server's rights); they are sent again by "
                       "themselves. Events are executed meanwhile."};
  return std::nullopt;
}

}  // namespace dhub::service
