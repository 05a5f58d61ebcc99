// SPDX-License-Identifier: Apache-2.0
#include "wiring/machine_memory.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>

namespace dhub::wiring {
namespace {

constexpr std::uint64_t kMiB = 1ULL << 20;

class MachineMemory : public testing::Test {
 protected:
  MachineMemory() {
    std::string name = "/tmp/dhub-memory-XXXXXX";
    root_ = ::mkdtemp(name.data());
    write("/proc/meminfo", "MemFree: 12 kB\nMemTotal:       2097152 kB\n");
  }
  ~MachineMemory() override { std::filesystem::remove_all(root_); }

  void write(const std::string& path, const std::string& content) const {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << content;
  }

  std::string root_;
};

TEST_F(MachineMemory, IsWhatIsInstalledWhereNothingLimitsIt) {
  EXPECT_EQ(machine_memory(root_), 2048 * kMiB);
  write("/proc/self/cgroup", "0::/user.slice/one\n");
  write("/sys/fs/cgroup/user.slice/one/memory.max", "max\n");
  EXPECT_EQ(machine_memory(root_), 2048 * kMiB);
}

TEST_F(MachineMemory, IsTheLeastOfTheGroupsOfVersion2) {
  write("/proc/self/cgroup", "0::/a/b\n");
  write("/sys/fs/cgroup/a/b/memory.max", "1073741824\n");
  EXPECT_EQ(machine_memory(root_), 1024 * kMiB);
  write("/sys/fs/cgroup/a/memory.max", "536870912\n");
  EXPECT_EQ(machine_memory(root_), 512 * kMiB);
}

TEST_F(MachineMemory, OfVersion1TooWhereNoLimitIsAHugeNumber) {
  write("/proc/self/cgroup", "4:cpu,cpuacct:/x\n9:memory:/docker/1\n");
  write("/sys/fs/cgroup/memory/docker/1/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(machine_memory(root_), 2048 * kMiB);
  write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "268435456\n");
  EXPECT_EQ(machine_memory(root_), 256 * kMiB) << "in a container its own group is the root";
}

TEST_F(MachineMemory, IsNotKnownWhereNobodySaysIt) {
  std::filesystem::remove_all(root_ + "/proc");
  EXPECT_FALSE(machine_memory(root_));
  EXPECT_TRUE(machine_memory());
}

}  // namespace
}  // namespace dhub::wiring
