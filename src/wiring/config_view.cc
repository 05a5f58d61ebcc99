// SPDX-License-Identifier: Apache-2.0
#include "wiring/config_view.h"

#include <boost/json/value.hpp>
#include <ostream>

#include "cli/documents.h"
#include "cli/exit_code.h"
#include "cli/failure.h"
#include "cli/json_text.h"
#include "cli/table.h"
#include "wiring/config.h"

namespace dhub::wiring {

int view_config(const cli::ServerFlags& flags, const Environment& environment, const cli::OutputFlags& output,
                cli::Console& console) {
  const auto config = read_config(flags, environment);
  if (!config) {
    console.err << cli::render({cli::ExitCode::Usage, "configuration", config.error().message, {}, {}, {}, 0});
    return static_cast<int>(cli::ExitCode::Usage);
  }
  boost::json::array items;
  std::vector<cli::Row> rows;
  for (const Setting& setting : config->settings) {
    items.push_back({{"key", setting.key}, {"value", setting.value}, {"source", setting.source}});
    rows.push_back({setting.key, setting.value, setting.source});
  }
  const boost::json::object all{{"items", items}};
  if (output.format == cli::OutputFormat::Json)
    console.out << cli::to_json(all);
  else if (output.format == cli::OutputFormat::Yaml)
    console.out << cli::to_yaml(all);
  else
    console.out << cli::layout({{"SETTING"}, {"VALUE"}, {"SOURCE", cli::Align::Left, cli::Fit::Cut}}, rows,
                               console.width, output.headers);
  for (const std::string& warning : config->warnings) console.err << "warning: " << warning << '\n';
  return console.out.flush() ? 0 : static_cast<int>(cli::ExitCode::Failed);
}

}  // namespace dhub::wiring
