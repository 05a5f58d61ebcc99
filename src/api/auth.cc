// SPDX-License-Identifier: Apache-2.0
#include "api/auth.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <utility>

#include "base/check.h"

namespace dhub::api {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

// "localhost:8080" -> "localhost", "[::1]:80" -> "::1".
std::string host_of(std::string_view authority) {
  if (!authority.empty() && authority[0] == '[') return lower(authority.substr(1, authority.find(']') - 1));
  return lower(authority.substr(0, authority.find(':')));
}

bool is_ipv4_loopback(std::string_view host) {
  return host.substr(0, 4) == "127." && host.find_first_not_of("0123456789.") == std::string_view::npos;
}

// The token of "Bearer TOKEN"; empty when it is something else.
std::string_view bearer_token(std::string_view value) {
  const auto blank = value.find(' ');
  if (blank == std::string_view::npos || lower(value.substr(0, blank)) != "bearer") return {};
  const auto begin = value.find_first_not_of(' ', blank);
  return begin == std::string_view::npos ? std::string_view{} : value.substr(begin);
}

}  // namespace

Authenticator::Authenticator(std::string_view admin_token, std::string host)
    : off_(admin_token.empty()), token_(digest_of(admin_token)), host_(lower(host)) {}

Authenticator::Digest Authenticator::digest_of(std::string_view text) {
  Digest digest{};
  unsigned int length = 0;
  CHECK(EVP_Digest(text.data(), text.size(), digest.data(), &length, EVP_sha256(), nullptr) == 1);
  return digest;
}

Result<Role> Authenticator::role_of(const Request& request) const {
  if (off_) return Role::Admin;
  ASSIGN_OR_RETURN(const auto header, request.header("authorization"));
  const std::string_view token = header ? bearer_token(*header) : std::string_view{};
  if (token.empty())
    return fail(ErrorCode::Unauthenticated, "Send the access token as 'Authorization: Bearer <access_token>'.");
  // Digests, so that neither the length nor a common beginning shows in the time it takes.
  const Digest digest = digest_of(token);
  if (CRYPTO_memcmp(digest.data(), token_.data(), digest.size()) != 0)
    return fail(ErrorCode::Unauthenticated, "The access token is not valid here; use this server's own.");
  return Role::Admin;
}

bool Authenticator::is_own_host(std::string_view authority) const {
  const std::string host = host_of(authority);
  return !off_ || host == "localhost" || host == "::1" || is_ipv4_loopback(host) || host == host_;
}

Status Authenticator::check_origin(const Request& request) const {
  if (!off_) return {};
  const auto denied = [] {
    return fail(ErrorCode::PermissionDenied,
                "Without authentication the server answers no requests from other web pages; start it with a token.");
  };
  ASSIGN_OR_RETURN(const auto origin, request.header("origin"));
  if (origin) {
    const auto scheme_end = origin->find("://");
    if (scheme_end == std::string::npos || !is_own_host(std::string_view(*origin).substr(scheme_end + 3)))
      return denied();
  }
  ASSIGN_OR_RETURN(const auto site, request.header("sec-fetch-site"));
  const bool from_elsewhere = site && *site != "same-origin" && *site != "none";
  if (from_elsewhere && request.method != Method::Get && request.method != Method::Head) return denied();
  return {};
}

std::string_view challenge_for(const Request& request) {
  const auto header = request.header("authorization");
  const bool sent = header && *header && !bearer_token(**header).empty();
  return sent ? "Bearer error=\"invalid_token\"" : "Bearer";
}

}  // namespace dhub::api
