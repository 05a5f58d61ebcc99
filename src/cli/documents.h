// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/json/value.hpp>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace dhub::cli {

// One document of a file, with the line of each of its values (by JSON pointer) where the text was YAML.
struct Document {
  boost::json::value value;
  std::map<std::string, int> lines;
};

// JSON, or YAML with any number of documents; empty documents are left out. `name` ("pipeline.yaml", "standard input")
// begins every error: "pipeline.yaml:3:5: ...". YAML is read as its JSON subset: a plain scalar is null, a boolean or a
// number exactly when JSON would read it as one (or it is empty, `~`, True, ...), so that `no`, `on`, 0777 and 1e stay
// text; duplicate keys, merge keys and tags beyond strings are refused. Bounded: 8 MiB of text, 64 levels, 100,000
// values and 16 MiB after aliases are expanded.
[[nodiscard]] Result<std::vector<Document>> parse_documents(std::string_view text, const std::string& name);

// Line of the value that `pointer` names, or of the nearest one around it; 0 when not known.
[[nodiscard]] int line_of(const Document& document, std::string pointer);

// Reads back as the same value; several lines of text become a block.
[[nodiscard]] std::string to_yaml(const boost::json::value& value);

}  // namespace dhub::cli
