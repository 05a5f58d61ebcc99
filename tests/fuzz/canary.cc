// SPDX-License-Identifier: Apache-2.0
// A fault that is planted behind four bytes, which count one after the other: a fuzzer that sees where its inputs lead
// finds them in a moment, a blind one never. tools/test fails when it is not found.
#include <vector>

#include "fuzz/input.h"

namespace {

// In a loop: as one comparison it would be one branch, and nothing would lead there.
std::size_t matching(std::string_view text, std::string_view word) {
  std::size_t count = 0;
  while (count < word.size() && count < text.size() && text[count] == word[count]) ++count;
  return count;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::string_view kPlanted = "bird";
  const auto text = dhub::fuzz::text_of(data, size);
  if (matching(text, kPlanted) < kPlanted.size()) return 0;
  const std::vector<char> bytes(text.begin(), text.end());
  [[maybe_unused]] const volatile char beyond = bytes.data()[bytes.size()];  // one too many
  return 0;
}
