// SPDX-License-Identifier: Apache-2.0
#include <iostream>
#include <string>
#include <vector>

#include "base/environment.h"
#include "cli/program.h"
#include "wiring/clusters.h"
#include "wiring/config_view.h"
#include "wiring/doctor.h"
#include "wiring/serve.h"

int main(int argc, char** argv) {
  std::ios::sync_with_stdio(false);
  const std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  const dhub::Environment environment = dhub::read_environment();
  dhub::cli::Console console{std::cout, std::cerr, std::cin, dhub::cli::terminal_width(environment)};
  dhub::cli::ServerVerbs verbs;
  verbs.serve = [&](const auto& flags) { return dhub::wiring::serve(flags, environment, console); };
  verbs.runner = [](int descriptor) { return dhub::wiring::run_runner(descriptor); };
  verbs.view_config = [&](const auto& flags, const auto& output, auto& shown) {
    return dhub::wiring::view_config(flags, environment, output, shown);
  };
  verbs.doctor = [&](const auto& flags, const auto& output, auto& shown) {
    return dhub::wiring::doctor(flags, environment, output, shown, dhub::wiring::diagnose_cluster);
  };
  return dhub::cli::run(arguments, environment, console, verbs);
}
