// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/result.h"

namespace dhub::wiring {

// The small files that a server keeps beside its store. Call these with the data directory's lock held: nothing here
// guards against a second server.

struct AdminToken {
  std::string token;  // 64 hex digits when made here
  std::string path;
  bool made = false;  // by this call
};

// The token of DIR/admin-token, made (0600, durable, never half written) when there is none. Conflict when the file is
// there but holds no token, or others may read it: that is for the operator to decide.
[[nodiscard]] Result<AdminToken> ensure_admin_token(const std::string& directory);

// Tells clients on this machine where the server is: DIR/server.json with url, pid and version, replaced as a whole.
[[nodiscard]] Status write_server_file(const std::string& directory, const std::string& url);
// Missing is fine.
void remove_server_file(const std::string& directory);

// The URL that a client on this machine uses: a server that listens on every address is reached on loopback.
[[nodiscard]] std::string url_for_clients(const std::string& url);

}  // namespace dhub::wiring
