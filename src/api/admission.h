// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "api/auth.h"
#include "api/response.h"
#include "api/router.h"
#include "api/server.h"

namespace dhub::api {

// The checks that need no handler, in their order: who asks (401), what for (404, 405), may they (403). Immutable; any
// thread.
class Admission {
 public:
  Admission(const ServerOptions& options, std::span<const Route> routes);

  // Needs the head of the request only. Sets its route when there is one; answers a refusal, or nothing: go on.
  [[nodiscard]] std::optional<Response> check(Request& request) const;

 private:
  [[nodiscard]] std::optional<Response> check_caller(const Request& request) const;

  const Authenticator authenticator_;
  const Router router_;
  const bool metrics_public_;
};

}  // namespace dhub::api
