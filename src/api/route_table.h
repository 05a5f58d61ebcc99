// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string_view>

#include "api/handler.h"
#include "api/request.h"

namespace dhub::api {

// What a handler may wait for. It then runs on threads of its own, so that who is quick never waits for who is not.
enum class Waits { No, ForStore, ForCluster };

// One operation of the interface. Routing, the checks before a handler, the metrics' labels and the interface's
// description all come from this table.
struct Route {
  std::string_view id;  // unique; what clients that are generated from the description call it
  Method method = Method::Get;
  std::string_view path;  // "/api/v1/events/{pipeline_id}"; a parameter is a whole segment and never empty
  Role role = Role::Admin;
  Waits waits = Waits::No;
  Handler handler = nullptr;
  std::span<const std::string_view> query;  // the parameters it knows; any other is refused
  std::string_view summary;
};

[[nodiscard]] std::span<const Route> route_table();

}  // namespace dhub::api
