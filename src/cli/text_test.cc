// SPDX-License-Identifier: Apache-2.0
#include "cli/text.h"

#include <gtest/gtest.h>

#include "cli/base64.h"
#include "cli/exit_code.h"
#include "cli/table.h"

namespace dhub::cli {
namespace {

TEST(Text, TakesTerminalSequencesOut) {
  EXPECT_EQ(printable("a\x1b[31mred\x1b[0m b"), "ared b");
  EXPECT_EQ(printable("x\x1b]0;title\x07y"), "xy");
  EXPECT_EQ(printable("x\x1b]8;;http://evil\x1b\\link"), "xlink");
  EXPECT_EQ(printable("\x1b"), "");
  EXPECT_EQ(printable("\x1b[38;5"), "");
  EXPECT_EQ(printable("a\rb\x08\x7f\xc2\x9b"), "ab");
  EXPECT_EQ(printable("left\xe2\x80\xaeright"), "leftright");
}

TEST(Text, KeepsWhatIsText) {
  EXPECT_EQ(printable("h\xc3\xa9 \xe6\x97\xa5"), "h\xc3\xa9 \xe6\x97\xa5");
  EXPECT_EQ(printable("a\nb\tc"), "a b c");
  EXPECT_EQ(printable("a\nb\tc", Lines::Many), "a\nb\tc");
  EXPECT_EQ(printable("bad \xff byte"), "bad \xef\xbf\xbd byte");
}

TEST(Text, WidthCountsColumnsNotBytes) {
  EXPECT_EQ(display_width("abc"), 3u);
  EXPECT_EQ(display_width("h\xc3\xa9"), 2u);
  EXPECT_EQ(display_width("\xe6\x97\xa5\xe6\x9c\xac"), 4u);
  EXPECT_EQ(display_width("e\xcc\x81"), 1u);
  EXPECT_EQ(display_width("\xf0\x9f\x98\x80"), 2u);
}

TEST(Text, CutsAtAColumnAndSaysSo) {
  EXPECT_EQ(cut_to("abcdef", 6), "abcdef");
  EXPECT_EQ(cut_to("abcdefg", 6), "abc...");
  EXPECT_EQ(cut_to("\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", 5), "\xe6\x97\xa5...");
  EXPECT_EQ(cut_to("abcdefg", 2), "..");
}

TEST(Table, AlignsColumnsTwoBlanksApart) {
  EXPECT_EQ(layout({{"ID"}, {"LAG", Align::Right}}, {{"orders", "7"}, {"x", "1200"}}, 80, true),
            "ID       LAG\n"
            "orders     7\n"
            "x       1200\n");
}

TEST(Table, CutsProseToTheTerminalAndNeverIds) {
  const std::string id(20, 'i');
  const std::string text = layout({{"ID"}, {"ERROR", Align::Left, Fit::Cut}}, {{id, std::string(100, 'e')}}, 40, false);
  EXPECT_EQ(text, id + "  " + std::string(15, 'e') + "...\n");
}

TEST(Table, WithoutHeadersAndWithEmptyCells) {
  EXPECT_EQ(layout({{"A"}, {"B"}}, {{"", "x"}, {"y"}}, 80, false), "-  x\ny  -\n");
}

TEST(Table, CellsCannotForgeRows) {
  EXPECT_EQ(layout({{"A"}}, {{"one\ntwo\x1b[2J"}}, 80, false), "one two\n");
}

TEST(ExitCode, FollowsTheStatus) {
  for (const auto& [status, exit] : {std::pair{401, 4},
                                     {403, 4},
                                     {404, 3},
                                     {409, 5},
                                     {412, 5},
                                     {408, 6},
                                     {504, 6},
                                     {400, 1},
                                     {422, 1},
                                     {500, 1},
                                     {503, 1},
                                     {507, 1},
                                     {302, 1}})
    EXPECT_EQ(static_cast<int>(exit_code_of_status(status)), exit) << status;
}

TEST(Base64, PadsAsTheStandardSays) {
  for (const auto& [plain, encoded] : {std::pair{"", ""},
                                       {"f", "Zg=="},
                                       {"fo", "Zm8="},
                                       {"foo", "Zm9v"},
                                       {"foob", "Zm9vYg=="},
                                       {"\xff\xfe\xfd", "//79"}})
    EXPECT_EQ(encode_base64(plain), encoded);
}

}  // namespace
}  // namespace dhub::cli
