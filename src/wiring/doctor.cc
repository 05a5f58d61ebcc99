// SPDX-License-Identifier: Apache-2.0
#include "wiring/doctor.h"

#include <algorithm>
#include <boost/json/value.hpp>
#include <fmt/format.h>
#include <iterator>
#include <ostream>
#include <utility>

#include "base/time.h"
#include "cli/documents.h"
#include "cli/exit_code.h"
#include "cli/json_text.h"
#include "cli/table.h"
#include "cli/text.h"
#include "wiring/machine_checks.h"

namespace dhub::wiring {
namespace {

const char* to_string(CheckState state) {
  switch (state) {
    case CheckState::Ok:
      return "ok";
    case CheckState::Warn:
      return "warn";
    case CheckState::Fail:
      return "fail";
  }
  return "fail";
}

DoctorCheck configuration_check(const Result<Config>& config, const cli::ServerFlags& flags,
                                const Environment& environment) {
  DoctorCheck check{"configuration"};
  if (!config) {
    check.state = CheckState::Fail;
    check.detail = config.error().message;
    check.action = "Correct it; dhub config view shows what is read.";
    return check;
  }
  const std::string file = flags.config_file.empty() ? get(environment, "DHUB_CONFIG") : flags.config_file;
  check.detail = file.empty() ? "no file; flags, environment and defaults" : file;
  if (config->warnings.empty()) return check;
  check.state = CheckState::Warn;
  check.detail = config->warnings.front();
  check.action = "Unset the variable or name it rightly.";
  return check;
}

std::vector<DoctorCheck> cluster_checks(const ClusterConfig& cluster, const DiagnoseCluster& diagnose) {
  std::vector<DoctorCheck> checks;
  if (diagnose) checks = diagnose(cluster);
  if (checks.empty()) checks.push_back({"brokers", CheckState::Warn, "nothing is known of them", {}});
  for (DoctorCheck& check : checks) check.name = fmt::format("{}: {}", cluster.name, check.name);
  return checks;
}

std::vector<DoctorCheck> all_checks(const cli::ServerFlags& flags, const Environment& environment,
                                    const DiagnoseCluster& diagnose) {
  const auto config = read_config(flags, environment);
  std::vector<DoctorCheck> checks{configuration_check(config, flags, environment)};
  if (!config) return checks;
  checks.push_back(check_data_directory(config->data));
  if (auto space = check_free_space(config->data)) checks.push_back(std::move(*space));
  checks.push_back(check_python(config->python));
  checks.push_back(check_server(config->data));
  checks.push_back(check_clock(read_clocks().wall, newest_write_of_store(config->data)));
  for (const ClusterConfig& cluster : config->clusters) {
    auto found = cluster_checks(cluster, diagnose);
    std::move(found.begin(), found.end(), std::back_inserter(checks));
  }
  return checks;
}

boost::json::object to_object(const std::vector<DoctorCheck>& checks) {
  boost::json::array items;
  for (const DoctorCheck& check : checks) {
    boost::json::object item{{"name", check.name}, {"state", to_string(check.state)}, {"detail", check.detail}};
    if (!check.action.empty()) item["action"] = check.action;
    items.push_back(std::move(item));
  }
  return {{"items", std::move(items)}};
}

// Nothing is cut: whoever asks wants to read all of it.
void print_table(const std::vector<DoctorCheck>& checks, const cli::OutputFlags& output, cli::Console& console) {
  std::vector<cli::Row> rows;
  rows.reserve(checks.size());
  for (const DoctorCheck& check : checks) rows.push_back({check.name, to_string(check.state), check.detail});
  console.out << cli::layout({{"CHECK"}, {"STATE"}, {"DETAIL"}}, rows, console.width, output.headers);
  bool any = false;
  for (const DoctorCheck& check : checks) {
    if (check.action.empty()) continue;
    console.out << (std::exchange(any, true) ? "" : "\nWhat to do:\n") << "  " << cli::printable(check.name) << ": "
                << cli::printable(check.action) << '\n';
  }
}

}  // namespace

int doctor(const cli::ServerFlags& flags, const Environment& environment, const cli::OutputFlags& output,
           cli::Console& console, const DiagnoseCluster& diagnose_cluster) {
  const std::vector<DoctorCheck> checks = all_checks(flags, environment, diagnose_cluster);
  if (output.format == cli::OutputFormat::Json)
    console.out << cli::to_json(to_object(checks));
  else if (output.format == cli::OutputFormat::Yaml)
    console.out << cli::to_yaml(to_object(checks));
  else
    print_table(checks, output, console);
  const bool good = std::none_of(checks.begin(), checks.end(),
                                 [](const DoctorCheck& check) { return check.state == CheckState::Fail; });
  const bool written = static_cast<bool>(console.out.flush());
  return static_cast<int>(good && written ? cli::ExitCode::Ok : cli::ExitCode::Failed);
}

}  // namespace dhub::wiring
