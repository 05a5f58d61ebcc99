// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "api/request.h"
#include "base/result.h"

namespace dhub::api {

// Who sent a request. Immutable; any thread.
class Authenticator {
 public:
  // An empty token switches authentication off: everybody is Admin, so a browser must be kept from being the way in.
  // Then requests must name this machine (or `host`) in Host, and must not come from a foreign page.
  Authenticator(std::string_view admin_token, std::string host);

  // The role of the bearer. Unauthenticated without a valid `Authorization: Bearer`, Malformed when it stands there
  // twice. Tokens are compared in a time that does not depend on them.
  [[nodiscard]] Result<Role> role_of(const Request& request) const;

  // PermissionDenied for what only a browser on a foreign page sends; nothing to say when tokens are in use.
  [[nodiscard]] Status check_origin(const Request& request) const;
  // False: the name in Host is not ours (DNS rebinding).
  [[nodiscard]] bool is_own_host(std::string_view authority) const;

 private:
  using Digest = std::array<unsigned char, 32>;
  static Digest digest_of(std::string_view text);

  const bool off_;
  const Digest token_;
  const std::string host_;
};

// Value of WWW-Authenticate in a 401: says more when a token was sent.
[[nodiscard]] std::string_view challenge_for(const Request& request);

}  // namespace dhub::api
