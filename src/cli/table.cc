// SPDX-License-Identifier: Apache-2.0
#include "cli/table.h"

#include <algorithm>
#include <numeric>

#include "cli/text.h"

namespace dhub::cli {
namespace {

constexpr std::size_t kGap = 2;
constexpr std::size_t kLeastWidth = 8;  // of a column that is cut

std::size_t total(const std::vector<std::size_t>& widths) {
  return std::accumulate(widths.begin(), widths.end(), std::size_t{0}) + kGap * (widths.size() - 1);
}

// Takes columns off the widest cuttable column, one at a time, until the table fits or nothing more may be cut.
void shrink(const std::vector<Column>& columns, std::vector<std::size_t>& widths, std::size_t width) {
  while (total(widths) > width) {
    std::size_t* widest = nullptr;
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const bool cuttable = columns[i].fit == Fit::Cut && widths[i] > kLeastWidth;
      if (cuttable && (widest == nullptr || widths[i] > *widest)) widest = &widths[i];
    }
    if (widest == nullptr) return;
    --*widest;
  }
}

std::string line(const std::vector<Column>& columns, const std::vector<std::size_t>& widths, const Row& cells) {
  std::string out;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (i > 0) out.append(kGap, ' ');
    const std::string cell = cut_to(cells[i], widths[i]);
    const std::size_t padding = widths[i] - display_width(cell);
    if (columns[i].align == Align::Right) out.append(padding, ' ');
    out += cell;
    if (columns[i].align == Align::Left) out.append(padding, ' ');
  }
  out.erase(out.find_last_not_of(' ') + 1);
  return out + '\n';
}

}  // namespace

std::string layout(const std::vector<Column>& columns, const std::vector<Row>& rows, std::size_t width, bool headers) {
  std::vector<Row> cells;
  if (headers) {
    cells.emplace_back();
    for (const Column& column : columns) cells.back().push_back(column.header);
  }
  for (const Row& row : rows) {
    cells.emplace_back();
    for (std::size_t i = 0; i < columns.size(); ++i) {
      const std::string cell = i < row.size() ? printable(row[i]) : std::string();
      cells.back().push_back(cell.empty() ? "-" : cell);
    }
  }
  std::vector<std::size_t> widths(columns.size(), 0);
  for (const Row& row : cells)
    for (std::size_t i = 0; i < columns.size(); ++i) widths[i] = std::max(widths[i], display_width(row[i]));
  shrink(columns, widths, width);
  std::string out;
  for (const Row& row : cells) out += line(columns, widths, row);
  return out;
}

}  // namespace dhub::cli
