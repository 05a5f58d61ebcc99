// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "base/time.h"
#include "cli/connection.h"
#include "cli/exit_code.h"
#include "cli/session.h"

namespace dhub::cli {

// Flags that set the configuration of a server: setting name ("listen") to the text that was given.
struct ServerFlags {
  std::map<std::string, std::string> settings;
  std::string config_file;  // empty: not given
};

// The verbs that are not clients of a server. The program's main provides them, so that this folder needs to know
// neither the server nor the runner. Each answers the exit code of the process.
struct ServerVerbs {
  std::function<int(const ServerFlags&)> serve;
  std::function<int(int descriptor)> runner;
  std::function<int(const ServerFlags&, const OutputFlags&, Console&)> view_config;
  std::function<int(const ServerFlags&, const OutputFlags&, Console&)> doctor;
};

struct ClientFlags {
  ConnectionFlags connection;
  OutputFlags output;
  Duration timeout = std::chrono::seconds(60);  // of one request
};

struct ServeInvocation {
  ServerFlags flags;
};
struct RunnerInvocation {
  int descriptor = -1;
};
struct ConfigViewInvocation {
  ServerFlags flags;
  OutputFlags output;
};
struct DoctorInvocation {
  ServerFlags flags;
  OutputFlags output;
};
struct VersionInvocation {
  OutputFlags output;
};
struct ClientInvocation {
  ClientFlags flags;
  Verb verb;
};
// Nothing to run: help that was asked for (to stdout), or words that make no sense (to stderr).
struct NothingToRun {
  ExitCode exit = ExitCode::Ok;
  std::string text;
};

using Invocation = std::variant<NothingToRun, ServeInvocation, RunnerInvocation, ConfigViewInvocation, DoctorInvocation,
                                VersionInvocation, ClientInvocation>;

// Reads the words after the program's name.
[[nodiscard]] Invocation parse_command_line(const std::vector<std::string>& arguments);

}  // namespace dhub::cli
