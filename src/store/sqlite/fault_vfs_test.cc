// SPDX-License-Identifier: Apache-2.0
#include "store/sqlite/fault_vfs_test.h"

#include <atomic>
#include <cstring>
#include <fstream>
#include <iterator>
#include <new>

namespace dhub::store {

// The layout that SQLite allocates for us: our part, then the real file's.
struct FaultVfs::File {
  sqlite3_file base;
  FaultVfs* owner;
  std::string* path;  // none for files without a name
  [[nodiscard]] sqlite3_file* real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};

struct FaultVfsCalls {
  using File = FaultVfs::File;
  static File* of(sqlite3_file* file) { return reinterpret_cast<File*>(file); }
  static sqlite3_file* real(sqlite3_file* file) { return of(file)->real(); }
  static FaultVfs* of(sqlite3_vfs* vfs) { return static_cast<FaultVfs*>(vfs->pAppData); }

  static int close(sqlite3_file* file) {
    const int code = real(file)->pMethods->xClose(real(file));
    delete of(file)->path;
    return code;
  }
  static int read(sqlite3_file* file, void* to, int amount, sqlite3_int64 offset) {
    return real(file)->pMethods->xRead(real(file), to, amount, offset);
  }
  static int write(sqlite3_file* file, const void* from, int amount, sqlite3_int64 offset) {
    File* self = of(file);
    if (self->path != nullptr) {
      const auto fault = self->owner->ask(*self->path, FaultVfs::Call::Write);
      if (fault == FaultVfs::Fault::NoSpace) return SQLITE_FULL;
      if (fault == FaultVfs::Fault::Io) return SQLITE_IOERR_WRITE;
      self->owner->wrote(
          *self->path, {offset, std::string(static_cast<const char*>(from), static_cast<std::size_t>(amount)), false});
    }
    return real(file)->pMethods->xWrite(real(file), from, amount, offset);
  }
  static int truncate(sqlite3_file* file, sqlite3_int64 size) {
    File* self = of(file);
    if (self->path != nullptr) {
      if (self->owner->ask(*self->path, FaultVfs::Call::Write) != FaultVfs::Fault::None) return SQLITE_IOERR_TRUNCATE;
      self->owner->wrote(*self->path, {size, {}, true});
    }
    return real(file)->pMethods->xTruncate(real(file), size);
  }
  static int sync(sqlite3_file* file, int flags) {
    File* self = of(file);
    if (self->path == nullptr) return real(file)->pMethods->xSync(real(file), flags);
    if (self->owner->ask(*self->path, FaultVfs::Call::Sync) != FaultVfs::Fault::None) return SQLITE_IOERR_FSYNC;
    self->owner->synced(*self->path);
    return SQLITE_OK;  // this is about what SQLite asks for; the test box need not wait for its disk
  }
  static int size(sqlite3_file* file, sqlite3_int64* out) { return real(file)->pMethods->xFileSize(real(file), out); }
  static int lock(sqlite3_file* file, int level) { return real(file)->pMethods->xLock(real(file), level); }
  static int unlock(sqlite3_file* file, int level) { return real(file)->pMethods->xUnlock(real(file), level); }
  static int reserved(sqlite3_file* file, int* out) {
    return real(file)->pMethods->xCheckReservedLock(real(file), out);
  }
  static int control(sqlite3_file* file, int op, void* argument) {
    if (op == SQLITE_FCNTL_SIZE_HINT) return SQLITE_OK;  // would grow the file behind our back
    return real(file)->pMethods->xFileControl(real(file), op, argument);
  }
  static int sector(sqlite3_file* file) { return real(file)->pMethods->xSectorSize(real(file)); }
  static int traits(sqlite3_file* file) { return real(file)->pMethods->xDeviceCharacteristics(real(file)); }
  static int shm_map(sqlite3_file* file, int page, int size_of_page, int extend, void volatile** out) {
    return real(file)->pMethods->xShmMap(real(file), page, size_of_page, extend, out);
  }
  static int shm_lock(sqlite3_file* file, int offset, int n, int flags) {
    return real(file)->pMethods->xShmLock(real(file), offset, n, flags);
  }
  static void shm_barrier(sqlite3_file* file) { real(file)->pMethods->xShmBarrier(real(file)); }
  static int shm_unmap(sqlite3_file* file, int remove) { return real(file)->pMethods->xShmUnmap(real(file), remove); }

  static const sqlite3_io_methods* methods() {
    static const sqlite3_io_methods kMethods = {2,        close,       read,      write,   truncate, sync,   size,
                                                lock,     unlock,      reserved,  control, sector,   traits, shm_map,
                                                shm_lock, shm_barrier, shm_unmap, nullptr, nullptr};
    return &kMethods;
  }

  static int open(sqlite3_vfs* vfs, const char* path, sqlite3_file* file, int flags, int* out_flags) {
    FaultVfs* owner = of(vfs);
    File* self = new (file) File{};
    self->owner = owner;
    const int code = owner->real_->xOpen(owner->real_, path, self->real(), flags, out_flags);
    self->base.pMethods = self->real()->pMethods == nullptr ? nullptr : methods();
    if (code != SQLITE_OK || path == nullptr) return code;
    self->path = new std::string(path);
    owner->opened(path);
    return code;
  }
  static int remove(sqlite3_vfs* vfs, const char* path, int sync_directory) {
    FaultVfs* owner = of(vfs);
    if (owner->ask(path, FaultVfs::Call::Write) != FaultVfs::Fault::None) return SQLITE_IOERR_DELETE;
    owner->removed(path);
    return owner->real_->xDelete(owner->real_, path, sync_directory);
  }
};

namespace {

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

bool is_store_file(const std::string& path) {
  return path.ends_with("store.db") || path.ends_with("store.db-wal");
}

}  // namespace

FaultVfs::FaultVfs() : real_(sqlite3_vfs_find(nullptr)) {
  static std::atomic<int> made{0};
  name_ = "fault-" + std::to_string(++made);
  vfs_ = *real_;
  vfs_.zName = name_.c_str();
  vfs_.pNext = nullptr;
  vfs_.pAppData = this;
  vfs_.szOsFile = static_cast<int>(sizeof(File)) + real_->szOsFile;
  vfs_.xOpen = FaultVfsCalls::open;
  vfs_.xDelete = FaultVfsCalls::remove;
  sqlite3_vfs_register(&vfs_, 0);
}

FaultVfs::~FaultVfs() {
  sqlite3_vfs_unregister(&vfs_);
}

void FaultVfs::decide(std::function<Fault(const std::string&, Call)> rule) {
  std::lock_guard lock(mutex_);
  rule_ = std::move(rule);
}

void FaultVfs::cut_power() {
  std::lock_guard lock(mutex_);
  dark_ = true;
}

std::uint64_t FaultVfs::syncs() const {
  std::lock_guard lock(mutex_);
  return syncs_;
}

FaultVfs::Fault FaultVfs::ask(const std::string& path, Call call) {
  std::lock_guard lock(mutex_);
  if (dark_) return Fault::Io;
  return rule_ && is_store_file(path) ? rule_(path, call) : Fault::None;
}

void FaultVfs::opened(const std::string& path) {
  std::lock_guard lock(mutex_);
  if (is_store_file(path) && !images_.contains(path)) images_[path].durable = content_of(path);
}

void FaultVfs::wrote(const std::string& path, PendingWrite write) {
  std::lock_guard lock(mutex_);
  if (is_store_file(path)) images_[path].pending.push_back(std::move(write));
}

void FaultVfs::synced(const std::string& path) {
  std::lock_guard lock(mutex_);
  if (!is_store_file(path)) return;
  ++syncs_;
  Image& image = images_[path];
  for (const auto& write : image.pending) apply(image.durable, write);
  image.pending.clear();
}

void FaultVfs::removed(const std::string& path) {
  std::lock_guard lock(mutex_);
  images_.erase(path);
}

void FaultVfs::apply(std::string& content, const PendingWrite& write) {
  const auto offset = static_cast<std::size_t>(write.offset);
  if (write.truncate) {
    content.resize(std::min(content.size(), offset));
    return;
  }
  if (content.size() < offset + write.bytes.size()) content.resize(offset + write.bytes.size());
  std::memcpy(content.data() + offset, write.bytes.data(), write.bytes.size());
}

void FaultVfs::forget_unsynced(Random& random, bool keep_nothing) {
  std::lock_guard lock(mutex_);
  for (auto& [path, image] : images_) {
    for (const auto& write : image.pending)
      if (!keep_nothing && random.below(2) == 0) apply(image.durable, write);
    image.pending.clear();
    std::ofstream(path, std::ios::binary | std::ios::trunc)
        .write(image.durable.data(), static_cast<std::streamsize>(image.durable.size()));
  }
  dark_ = false;
  rule_ = nullptr;
}

}  // namespace dhub::store
