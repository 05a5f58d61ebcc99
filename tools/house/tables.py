# SPDX-License-Identifier: Apache-2.0
"""What the rules compare against: who may include whom, what is banned and where, and the few exceptions."""

# Folder under src/ (or apps) -> the folders that it may include. A step upward or sideways is an error.
LAYERS = {
    "base": set(),
    "model": {"base"},
    "ports": {"base", "model"},
    "delivery": {"base", "model", "ports"},
    "scaling": {"base", "model", "ports"},
    "pipeline": {"base", "model", "ports"},
    "wire": {"base", "model", "ports"},
    "runner": {"base", "model", "ports", "wire"},
    "loop": {"base", "model", "ports"},
    "store/sqlite": {"base", "model", "ports"},
    "eventlog/router": {"base", "model", "ports"},
    "eventlog/kafka": {"base", "model", "ports"},
    "backend/local": {"base", "model", "ports", "wire"},
    "service": {"base", "model", "ports", "delivery", "scaling", "pipeline"},
    "api": {"base", "model", "ports", "service"},
    "cli": {"base", "model"},
}
# What only the tests of a folder may include on top: a backend is tried with the real host and a real loop.
TEST_LAYERS = {
    "backend/local": {"loop", "runner"},
}
# These join the others and may include all of them.
ASSEMBLY = {"wiring", "apps"}
CORE = {"base", "model", "ports", "delivery", "scaling", "pipeline", "service"}
ADAPTERS = {"loop", "store/sqlite", "eventlog/kafka", "eventlog/router", "backend/local", "runner", "wire"}

# Header prefix -> the folders that may see the library. None: everywhere.
LIBRARIES = {
    "fmt/": None,
    "tl/": None,
    "sqlite3.h": {"store/sqlite"},
    "librdkafka/": {"eventlog/kafka", "tests"},
    "boost/asio": {"loop", "backend/local", "api"},
    "boost/beast": {"api"},
    "boost/json": {"pipeline", "store/sqlite", "api", "cli", "wiring"},
    "boost/unordered": {"delivery", "service"},
    "boost/url": {"api"},
    "boost/system": {"loop", "backend/local", "api"},
    "simdjson.h": {"api"},
    "openssl/": {"store/sqlite", "api", "wiring"},
    "curl/": {"cli"},
    "CLI/": {"cli", "wiring", "apps"},
    "yaml-cpp/": {"cli", "wiring"},
    "benchmark/": {"tests"},
}
TEST_LIBRARIES = ("gtest/", "gmock/", "rapidcheck")

# Standard and system headers that bring threads, files, clocks or chance: not for the pure core.
IMPURE_HEADERS = {"atomic", "condition_variable", "coroutine", "filesystem", "fstream", "future", "iostream", "mutex",
                  "random", "stop_token", "thread"}
PURE = {"model", "delivery", "scaling", "pipeline"}
SYSTEM_HEADERS = ("arpa/", "linux/", "net/", "netinet/", "sys/")
POSIX_HEADERS = {"cxxabi.h", "dirent.h", "dlfcn.h", "errno.h", "execinfo.h", "fcntl.h", "grp.h", "netdb.h", "poll.h",
                 "pthread.h", "pwd.h", "sched.h", "signal.h", "spawn.h", "stdlib.h", "string.h", "syslog.h", "termios.h", "time.h",
                 "unistd.h"}

# name, pattern (on code without comments and strings), folders where it is allowed, what to do instead.
# "tests" stands for the folder tests/ and for every *_test.cc, "adapter tests" for those of an adapter: they meet real
# processes and real files, which have deadlines.
BANNED_CPP = [
    ("sleep", r"\b(sleep_for|sleep_until|usleep|nanosleep)\s*\(|(?<![\w.>])::sleep\s*\(", set(),
     "wait for the event: Scheduler::at, a condition variable with a deadline, poll()"),
    ("clock", r"\b(system|steady|high_resolution)_clock::now\b|\bclock_gettime\s*\(|\bgettimeofday\s*\(",
     {"base", "loop", "adapter tests"},
     "take the time as an argument, or call read_clocks() in a loop, an adapter or a main"),
    ("clock", r"\bread_clocks\s*\(", {"base", "wiring", "cli", "api", "apps", "tests"} | ADAPTERS,
     "take the time as an argument"),
    ("chance", r"\b(s?rand|drand48)\s*\(|\brandom_device\b|\bmt19937(_64)?\b", {"base"},
     "take a dhub::Random with its seed as an argument (base/random.h)"),
    ("chance", r"\b\w+_distribution\b", set(),
     "use dhub::Random: distributions differ between standard libraries"),
    ("thread", r"\bstd::j?thread\b(?!::)|\bstd::async\b|\bpthread_create\b",
     {"base", "wiring", "api", "tests"} | ADAPTERS, "let a loop own the thread; the core is stepped"),
    ("detach", r"\.\s*detach\s*\(\s*\)", set(), "keep the handle and join it: nothing outlives its owner"),
    ("environment", r"\b(secure_)?getenv\s*\(", {"base", "wiring", "cli", "tests"},
     "read the environment in wiring or cli and hand the value down"),
    ("stdout", r"\bstd::cout\b|(?<![\w:])(std::)?(printf|puts)\s*\(", {"cli", "wiring", "apps", "tests"},
     "stdout is for the data of client verbs; log, or return a Result"),
    ("coroutine", r"\bco_(await|return|yield)\b", set(),
     "use callbacks: g++ 12.2 destroys temporaries inside co_await expressions twice"),
    ("assert", r"(?<![\w_])assert\s*\(", set(), "use CHECK (base/check.h): it stays on in release"),
    ("throw", r"\bthrow\b", {"tests"}, "return fail(ErrorCode::..., message): no exception crosses a folder"),
]
BANNED_PYTHON = [
    ("sleep", r"\btime\.sleep\s*\(", {"python", "samples"},
     "wait for the event: ?wait=, a status change, a file descriptor; never an amount of time"),
]

# A word of a type or file name that says nothing about what the thing is.
EMPTY_NAME_PARTS = ("Manager", "Helper", "Helpers", "Util", "Utils", "Impl")

FUNCTION_LINES = 70
FILE_LINES = 600
TEST_FILE_LINES = 800
MAIN_LINES = 60
FILE_BYTES = 512 * 1024

# The only exceptions: (path, rule) -> reason. Short, and only ever shorter.
ALLOWED = {
}
