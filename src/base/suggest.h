// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace dhub {

// How many insertions, deletions, replacements and swaps of neighbours make `b` of `a`; anything above `most` answers
// `most + 1`. Bytes, case-sensitive.
[[nodiscard]] std::size_t edit_distance(std::string_view a, std::string_view b, std::size_t most);

// The known word that `word` was probably meant to be: the nearest within about a third of its length, at most 3
// edits, whatever its case; empty when none is near. The first of equals wins. Words beyond 64 bytes are near nothing.
[[nodiscard]] std::string_view suggest(std::string_view word, std::span<const std::string_view> known);

// What to tell whoever wrote a word that is none of the known: "did you mean 'retry'?", else "known are: a, b, c".
[[nodiscard]] std::string did_you_mean(std::string_view word, std::span<const std::string_view> known);

}  // namespace dhub
