// SPDX-License-Identifier: Apache-2.0
// The host's parts, each for itself.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runner/isolation.h"
#include "runner/log_pipe.h"
#include "runner/page.h"
#include "runner/processes.h"

namespace dhub::runner {
namespace {

using namespace std::chrono_literals;

// A page as its worker sees it.
class WorkersPage {
 public:
  explicit WorkersPage(SharedPage& page) : memory_(page.take_descriptor()) {
    size_ = static_cast<std::size_t>(::lseek(memory_.get(), 0, SEEK_END));
    bytes_ = static_cast<char*>(::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, memory_.get(), 0));
  }
  ~WorkersPage() { ::munmap(bytes_, size_); }
  std::uint64_t& word(std::size_t index) { return reinterpret_cast<std::uint64_t*>(bytes_)[index]; }
  [[nodiscard]] char* at(std::uint64_t offset) { return bytes_ + offset; }
  [[nodiscard]] int descriptor() const { return memory_.get(); }

 private:
  Descriptor memory_;
  std::size_t size_ = 0;
  char* bytes_ = nullptr;
};

// The first word of a slot, as docs/specs/frames.md has it.
constexpr std::size_t slot_word(std::size_t slot) {
  return 16 + 4 * slot;
}

TEST(SharedPage, TellsWhatTheWorkerHasNoted) {
  auto page = SharedPage::create(64 << 10, 4);
  ASSERT_TRUE(page.has_value());
  WorkersPage worker(*page);
  EXPECT_TRUE(page->begun().empty());
  worker.word(slot_word(2) + 1) = 5'000;
  worker.word(slot_word(2)) = 77;
  const auto begun = page->begun();
  ASSERT_EQ(begun.size(), 1u);
  EXPECT_EQ(begun[0].delivery, DeliveryId{77});
  EXPECT_EQ(begun[0].since, Instant(5us));
  EXPECT_EQ(begun[0].slot, 2u);
  std::memcpy(worker.at(worker.word(8)), "printed", 7);
  worker.word(4) = 7;
  EXPECT_EQ(page->log(), "printed");
  page->recall(9);
  EXPECT_EQ(worker.word(1), 9u);
  EXPECT_FALSE(page->gave_up());
  worker.word(6) = 1;
  EXPECT_TRUE(page->gave_up());
  EXPECT_FALSE(page->several());
  worker.word(7) = 1;
  EXPECT_TRUE(page->several());
}

TEST(SharedPage, HasStepAndResultsOfEachSlot) {
  auto page = SharedPage::create(64 << 10, 4);
  ASSERT_TRUE(page.has_value());
  WorkersPage worker(*page);
  for (const std::size_t slot : {0, 3}) {
    worker.word(slot_word(slot) + 2) = slot + 1;
    worker.word(slot_word(slot) + 3) = 2 + slot;
    std::memcpy(worker.at(worker.word(10) + slot * worker.word(11)), slot == 0 ? "ab" : "cdefg", 2 + slot);
  }
  EXPECT_EQ(page->step(0), 1);
  EXPECT_EQ(page->step(3), 4);
  EXPECT_EQ(page->finished_steps(0), "ab");
  EXPECT_EQ(page->finished_steps(1), "");
  EXPECT_EQ(page->finished_steps(3), "cdefg");
}

TEST(SharedPage, WhatIsOverAndOnItsWayIsNotedAndRunsNoMore) {
  auto page = SharedPage::create(64 << 10, 2);
  ASSERT_TRUE(page.has_value());
  WorkersPage worker(*page);
  worker.word(slot_word(1)) = 5;
  EXPECT_TRUE(page->begun().empty());
  EXPECT_THAT(page->noted(), testing::ElementsAre(DeliveryId{5}));
}

TEST(SharedPage, AWorkerThatLiesAboutSizesMakesNobodyReadPastTheEnd) {
  constexpr std::int32_t kManySlots = 1000;
  for (const std::int32_t slots : {1, kManySlots}) {
    auto page = SharedPage::create(1000, slots);
    ASSERT_TRUE(page.has_value());
    WorkersPage worker(*page);
    for (std::size_t index = 2; index < 1024; ++index) worker.word(index) = ~std::uint64_t{0};
    const std::size_t last = page->begun().size() - 1;
    EXPECT_EQ(last, slots == 1 ? 0u : 251u);
    EXPECT_EQ(page->finished_outcomes().size(), 1u << 20);
    EXPECT_EQ(page->finished_steps(last).size(), slots == 1 ? 256u << 10 : 16u << 10);
    EXPECT_LE(page->log().size(), 1064u);
    std::size_t sum = 0;
    for (const auto& area : {page->finished_outcomes(), page->finished_steps(last), page->log()})
      for (const char c : area) sum += static_cast<unsigned char>(c);
    EXPECT_GE(sum, 0u);
  }
}

TEST(SharedPage, CannotBeShrunkUnderTheHost) {
  auto page = SharedPage::create(1000, 1);
  ASSERT_TRUE(page.has_value());
  WorkersPage worker(*page);
  EXPECT_NE(::ftruncate(worker.descriptor(), 0), 0);
  EXPECT_NE(::ftruncate(worker.descriptor(), 1 << 30), 0);
}

TEST(LogPipe, KeepsTheTailAndPassesOnWithinItsRate) {
  Epoll epoll;
  LogPipe pipe;
  std::string passed;
  bool cut = false;
  const Descriptor writer = pipe.open(epoll, [&](std::string_view text, bool was_cut) {
    passed += text;
    cut = cut || was_cut;
  });
  ASSERT_TRUE(writer.is_open());
  const std::string block(32 << 10, 'a');
  for (int i = 0; i < 8; ++i) {
    ASSERT_EQ(::write(writer.get(), block.data(), block.size()), static_cast<ssize_t>(block.size()));
    pipe.drain();
  }
  ASSERT_EQ(::write(writer.get(), "last words", 10), 10);
  const std::uint64_t before = pipe.total();
  pipe.drain();
  EXPECT_LE(passed.size(), 64u << 10);
  EXPECT_TRUE(cut);
  EXPECT_TRUE(pipe.tail().ends_with("alast words"));
  EXPECT_LE(pipe.tail().size(), 32u << 10);
  EXPECT_EQ(pipe.tail_since(before), "last words");
}

TEST(Processes, SeeAChildAndItsMemory) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    char c = 0;
    ::close(ends[1]);
    (void)!::read(ends[0], &c, 1);
    ::_exit(0);
  }
  const auto children = ProcessTree::read().children(::getpid());
  EXPECT_THAT(children, testing::Contains(child));
  EXPECT_THAT(ProcessTree::read().tree(::getpid()), testing::IsSupersetOf({::getpid(), child}));
  EXPECT_GT(resident_bytes(child), 0u);
  EXPECT_GT(resident_bytes(::getpid()), 1u << 20);
  EXPECT_GT(proportional_bytes(::getpid()), 0u);
  ::close(ends[1]);
  ::waitpid(child, nullptr, 0);
  ::close(ends[0]);
  EXPECT_EQ(resident_bytes(child), 0u);
  EXPECT_THAT(ProcessTree::read().children(::getpid()), testing::Not(testing::Contains(child)));
}

TEST(Isolation, ANamespaceEndsWithItsFirstProcess) {
  const Isolation best = best_isolation();
  if (best == Isolation::None) GTEST_SKIP() << "this system allows no namespaces";
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t first = fork_isolated(best, [&] {
    ::close(ends[0]);
    if (::fork() == 0) {
      ::setsid();
      for (;;) ::pause();
    }
    char own[64] = {};
    // /proc is the namespace's own: it knows us by our number there.
    const bool fits = ::getpid() == 1 && ::readlink("/proc/self", own, sizeof own) == 1 && own[0] == '1';
    (void)!::write(ends[1], fits ? "y" : "n", 1);
    for (;;) ::pause();
  });
  ASSERT_GT(first, 0);
  ::close(ends[1]);
  char answer = 0;
  ASSERT_EQ(::read(ends[0], &answer, 1), 1);
  EXPECT_EQ(answer, 'y');
  ::kill(first, SIGKILL);
  ::waitpid(first, nullptr, 0);
  // The other one held the pipe open too.
  EXPECT_EQ(::read(ends[0], &answer, 1), 0);
  ::close(ends[0]);
}

}  // namespace
}  // namespace dhub::runner
