// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/pipeline.h"
#include "model/run.h"
#include "service/triggers.h"

namespace dhub::service {

// Why outputs to a topic, as a pipeline names it, wait; none when they do not.
using OutputTrouble = std::function<std::optional<Error>(const std::string& topic)>;

// The topics that one trigger has outputs to, as its pipeline names them: those of its definitions, and those that its
// steps chose in this life.
class OutputTopics {
 public:
  void add(const Definition& definition);
  void add(const std::vector<Publication>& publications);
  // The condition "Outputs" when outputs to one of them wait. Events are executed all the same.
  [[nodiscard]] std::optional<Condition> waiting(const OutputTrouble& trouble) const;

 private:
  // A step that makes up a name for each event must not grow this without end: what comes later is not remembered.
  static constexpr std::size_t kMostTopics = 1000;

  std::set<std::string> topics_;
};

}  // namespace dhub::service
