// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/json/value.hpp>
#include <cstddef>
#include <functional>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

#include "cli/api_client.h"
#include "cli/table.h"

namespace dhub::cli {

// Where a verb reads and writes: data to `out`, everything said to `err`.
struct Console {
  std::ostream& out;
  std::ostream& err;
  std::istream& in;
  std::size_t width = 80;  // of the terminal
};

// Default: a table for lists, YAML for one object.
enum class OutputFormat { Default, Table, Json, Yaml };

struct OutputFlags {
  OutputFormat format = OutputFormat::Default;
  bool headers = true;
};

// What a verb works with.
struct Session {
  ApiClient& api;
  Console& console;
  OutputFlags output;

  [[nodiscard]] bool machine_readable() const {
    return output.format == OutputFormat::Json || output.format == OutputFormat::Yaml;
  }
  // A message for the person, not data.
  void note(std::string_view text) const;
  // One value as JSON or, in every other format, as YAML.
  void print_value(const boost::json::value& value) const;
  // The same of a whole reply; as JSON, its numbers are shown exactly as they came.
  void print_reply(const ApiReply& reply) const;
  void print_table(const std::vector<Column>& columns, const std::vector<Row>& rows) const;
};

// What a verb ends with.
using VerbResult = Answer<void>;
using Verb = std::function<VerbResult(Session&)>;

// A list as `items`, each row made by `row`; JSON and YAML show the items as they came.
void print_list(const Session& session, const std::vector<Column>& columns, const boost::json::array& items,
                const std::function<Row(const boost::json::value&)>& row);

// The value at a path of keys as text for a cell: strings bare, numbers and booleans printed, all else empty.
[[nodiscard]] std::string cell(const boost::json::value& value, std::initializer_list<std::string_view> path);

// Pages of a list until `limit` items are there; notes when there are more.
Answer<boost::json::array> fetch_list(Session& session, Call call, std::size_t limit);

// Everything a file holds; "-" is the console's input.
Answer<std::string> read_input(const Console& console, const std::string& file);

}  // namespace dhub::cli
