// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <vector>

#include "api/route_table.h"

namespace dhub::api {

struct Match {
  const Route* route = nullptr;  // none: no such path, or not with this method
  bool path_known = false;
  bool anybody = false;  // some operation of the path is for everybody
  std::string allow;     // methods of the path, as the header Allow lists them
};

// Finds the operation for a request. Literal segments win over parameters. Service endpoints ("/healthz") answer below
// the base path too, because clients that know only that ask there. Immutable; any thread.
class Router {
 public:
  explicit Router(std::span<const Route> routes);

  [[nodiscard]] Match find(Method method, std::span<const std::string> segments) const;

 private:
  struct Pattern {
    const Route* route;
    std::vector<std::string_view> segments;
  };
  [[nodiscard]] Match find_exactly(Method method, std::span<const std::string> segments) const;

  std::vector<Pattern> patterns_;
};

}  // namespace dhub::api
