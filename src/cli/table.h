// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace dhub::cli {

enum class Align { Left, Right };
// Keep: what people copy (ids, offsets) is never cut. Cut: prose gives way when the table is wider than the terminal.
enum class Fit { Keep, Cut };

struct Column {
  std::string header;
  Align align = Align::Left;
  Fit fit = Fit::Keep;
};

using Row = std::vector<std::string>;

// Lays rows out in columns, two blanks apart, within `width` as far as the columns that may be cut allow. Cells are
// made printable here, so any text may be put in; an empty cell shows as "-".
[[nodiscard]] std::string layout(const std::vector<Column>& columns, const std::vector<Row>& rows, std::size_t width,
                                 bool headers);

}  // namespace dhub::cli
