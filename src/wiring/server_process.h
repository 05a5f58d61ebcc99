// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/log.h"
#include "base/result.h"
#include "wiring/config.h"

namespace dhub::wiring {

// Everything that a server is made of, in the order in which it must be made and ended: store, service loop, instances,
// triggers, API. The only place that names concrete adapters. Made and ended on one thread.
class ServerProcess {
 public:
  // Opens the store, resumes the triggers, listens. Conflict: another server has the data directory. Unavailable: the
  // address cannot be listened on.
  [[nodiscard]] static Result<std::unique_ptr<ServerProcess>> start(const Config& config, Logger& logger);
  // Ends at once what drain() has not ended: what is in flight runs again at the next start.
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  [[nodiscard]] const std::string& url() const;
  // Empty when nobody has to authenticate.
  [[nodiscard]] const std::string& admin_token_path() const;
  // /readyz answers 503 from here on; what is in flight gets `grace` to finish, nothing new begins. `done` is called
  // once, on another thread.
  void drain(Duration grace, std::function<void()> done);

 private:
  struct Parts;
  explicit ServerProcess(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace dhub::wiring
