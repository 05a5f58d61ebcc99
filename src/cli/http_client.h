// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "base/time.h"

namespace dhub::cli {

struct HttpRequest {
  std::string method = "GET";
  std::string url;
  std::vector<std::string> headers;  // "name: value"
  std::optional<std::string> body;
  Duration timeout = std::chrono::seconds(60);
};

struct HttpReply {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;
};

// Why there was no reply.
struct HttpFailure {
  enum class Kind { Unreachable, TimedOut, BadUrl, TooLarge };
  Kind kind = Kind::Unreachable;
  std::string detail;
};

// HTTP/1.1 over one kept connection. Blocks; one thread. Follows no redirects (they would carry the token elsewhere),
// speaks http and https only, uses no proxy towards loopback, reads replies of at most 64 MiB.
class HttpClient {
 public:
  HttpClient();
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  tl::expected<HttpReply, HttpFailure> send(const HttpRequest& request);

 private:
  struct Handle;
  std::unique_ptr<Handle> handle_;
};

// Everything but unreserved characters percent-encoded: safe as one path segment or one query value. A segment of dots
// alone is encoded too, so that no path can climb.
[[nodiscard]] std::string percent_encode(std::string_view text);

// Does the URL name this machine itself (localhost, 127.0.0.0/8, ::1)?
[[nodiscard]] bool is_loopback_url(std::string_view url);

}  // namespace dhub::cli
