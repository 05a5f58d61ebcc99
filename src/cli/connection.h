// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "base/environment.h"
#include "cli/failure.h"

namespace dhub::cli {

// The flags that say where the server is; empty = not given.
struct ConnectionFlags {
  std::string url = {};
  std::string token_file = {};
  std::string data = {};
};

// Where the server is and who we are to it.
struct Connection {
  std::string url;         // without a slash at the end
  std::string url_source;  // "--url", "DHUB_URL" or the path of a server.json, for messages
  std::string token;       // empty: none was found
  std::string token_source;
};

// Where the server keeps its state unless told otherwise: $DHUB_DATA, $XDG_STATE_HOME/dhub or ~/.local/state/dhub.
// Empty when not even HOME is set.
[[nodiscard]] std::string default_data_dir(const Environment& environment);

// URL: --url, DHUB_URL, the data directory's server.json. Token: --token-file, DHUB_TOKEN, DHUB_TOKEN_FILE, the data
// directory's admin-token; the last only towards the server of that directory or this machine itself, so that naming
// another server never hands it the local admin token.
[[nodiscard]] Answer<Connection> find_connection(const ConnectionFlags& flags, const Environment& environment);

}  // namespace dhub::cli
