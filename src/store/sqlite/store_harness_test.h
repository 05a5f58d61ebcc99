// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <filesystem>
#include <stdlib.h>
#include <string>
#include <vector>

#include "store/sqlite/store.h"
#include "tests/conformance/harness.h"

namespace dhub::store {

// An empty directory that goes with the object.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "dhub-store-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) std::abort();
    path_ = pattern;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// A wall clock that stands still unless it is told to move; its monotonic side moves along.
class ManualClock {
 public:
  void advance(Duration by) { ns_ += by.count(); }
  [[nodiscard]] Now now() const {
    const std::int64_t ns = ns_;
    return {Instant{Duration{ns}}, WallTime{1790000000000 + ns / 1000000}};
  }

 private:
  std::atomic<std::int64_t> ns_{1};
};

// The store as the conformance suites and its own tests use it.
class StoreHarness : public conformance::Harness {
 public:
  explicit StoreHarness(StoreOptions options = {}) : options_(std::move(options)) {
    options_.data_dir = directory_.path() + "/data";
    options_.clock = [this] { return clock_.now(); };
    options_.clean_up_every = std::chrono::hours(24);  // tests say when
    open();
  }
  EventLog& event_log() override { return store_->event_log(); }
  Journal& journal() override { return store_->journal(); }
  Catalog& catalog() override { return store_->catalog(); }
  RunArchive& run_archive() override { return store_->run_archive(); }
  Outbox& outbox() override { return store_->outbox(); }
  TopicRegistry& topic_registry() override { return store_->topic_registry(); }
  void reopen() override {
    store_.reset();
    open();
  }
  void advance(Duration by) override { clock_.advance(by); }

  void open() {
    auto opened = Store::open(options_);
    if (!opened) {
      ADD_FAILURE() << opened.error().message;
      std::abort();
    }
    store_ = std::move(*opened);
  }
  void close() { store_.reset(); }
  Store& store() { return *store_; }
  StoreOptions& options() { return options_; }
  [[nodiscard]] const std::string& data_dir() const { return options_.data_dir; }

 private:
  TemporaryDirectory directory_;
  ManualClock clock_;
  StoreOptions options_;
  std::unique_ptr<Store> store_;
};

}  // namespace dhub::store
