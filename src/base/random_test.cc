// SPDX-License-Identifier: Apache-2.0
#include "base/random.h"

#include <array>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>
#include <set>

namespace dhub {
namespace {

// xoshiro256** 1.0 seeded by splitmix64, computed by an independent program.
TEST(Random, GivesTheSameNumbersOnEveryPlatform) {
  Random zero(0);
  for (const std::uint64_t expected :
       {0x99EC5F36CB75F2B4ULL, 0xBF6E1F784956452AULL, 0x1A5F849D4933E6E0ULL, 0x6AA594F1262D2D2CULL})
    EXPECT_EQ(zero.next(), expected);
}

TEST(Random, SeedsMakeSequences) {
  Random a(7);
  Random b(7);
  Random c(8);
  bool differs = false;
  for (int i = 0; i < 100; ++i) {
    const auto value = a.next();
    EXPECT_EQ(value, b.next());
    differs |= value != c.next();
  }
  EXPECT_TRUE(differs);
}

RC_GTEST_PROP(RandomProperty, StaysInItsBounds, (std::uint64_t seed, std::uint64_t bound)) {
  Random random(seed);
  for (int i = 0; i < 20; ++i) {
    const auto value = random.below(bound);
    RC_ASSERT((bound == 0 ? value == 0 : value < bound));
    const double unit = random.unit();
    RC_ASSERT((unit >= 0 && unit < 1));
  }
}

TEST(Random, BelowReachesEveryValueAboutEquallyOften) {
  Random random(1);
  std::array<int, 6> counts{};
  for (int i = 0; i < 60'000; ++i) ++counts[random.below(6)];
  for (const int count : counts) EXPECT_NEAR(count, 10'000, 500);  // 5 standard deviations
}

TEST(Random, IdsAreOfLowerCaseLettersAndDigits) {
  Random random(1);
  const std::string id = random.id(10'000);
  EXPECT_EQ(id.size(), 10'000u);
  const std::set<char> used(id.begin(), id.end());
  EXPECT_EQ(used.size(), 36u);
  for (const char c : used) EXPECT_TRUE((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) << c;
  EXPECT_EQ(random.id(0), "");
}

TEST(Random, SecretsAreHexAndNeverTheSame) {
  const std::string secret = secret_hex(32);
  EXPECT_EQ(secret.size(), 64u);
  EXPECT_EQ(secret.find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_NE(secret, secret_hex(32));
  EXPECT_NE(fresh_seed(), fresh_seed());
}

}  // namespace
}  // namespace dhub
