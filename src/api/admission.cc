// SPDX-License-Identifier: Apache-2.0
#include "api/admission.h"

#include <fmt/format.h>

namespace dhub::api {

Admission::Admission(const ServerOptions& options, std::span<const Route> routes)
    : authenticator_(options.admin_token, options.host), router_(routes), metrics_public_(options.metrics_public) {}

std::optional<Response> Admission::check_caller(const Request& request) const {
  const auto host = request.header("host");
  if (!host) return error_response(host.error());
  if (*host && !authenticator_.is_own_host(**host))
    return problem_response(make_problem(421, "unknown_host",
                                         "Without authentication the server answers only to the names of this "
                                         "machine; use localhost in the URL, or start it with a token."));
  const auto origin = authenticator_.check_origin(request);
  if (!origin) return error_response(origin.error());
  return std::nullopt;
}

std::optional<Response> Admission::check(Request& request) const {
  if (auto refusal = check_caller(request)) return refusal;
  Match match = router_.find(request.method, request.segments);
  const bool anybody =
      match.anybody || (match.route != nullptr && match.route->role == Role::Metrics && metrics_public_);
  const auto role = anybody ? Result<Role>(Role::Admin) : authenticator_.role_of(request);
  if (!role) {
    Response refusal = error_response(role.error());
    if (role.error().code == ErrorCode::Unauthenticated)
      refusal.headers.emplace_back("WWW-Authenticate", challenge_for(request));
    return refusal;
  }
  if (!match.path_known)
    return error_response({ErrorCode::NotFound, "There is nothing at this path; look it up in the documentation.", {}});
  if (match.route == nullptr) {
    Response refusal = problem_response(
        make_problem(405, "method_not_allowed", fmt::format("This path takes the methods {}.", match.allow)));
    refusal.headers.emplace_back("Allow", std::move(match.allow));
    return refusal;
  }
  if (*role < match.route->role)
    return error_response({ErrorCode::PermissionDenied, "The access token does not allow this.", {}});
  request.route = match.route;
  return std::nullopt;
}

}  // namespace dhub::api
