// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <string>

#include "api/request.h"
#include "api/response.h"
#include "api/server.h"

namespace dhub::api {

// How the interface describes itself, made once.
struct Description {
  std::string openapi;
  std::string docs;
};

// What every handler can reach. Lives as long as the server.
struct HandlerContext {
  const Services& services;
  const ServerOptions& options;
  const std::atomic<bool>& draining;
  const Description& description;
};

// Checks in the order that is promised: existence (404), the event option (500), media type (415), JSON (400), schema
// (422), conflicts (409, 412); everything before is checked already. The request is valid during the call only.
using Handler = void (*)(const HandlerContext& context, const Request& request, Reply reply);

}  // namespace dhub::api
