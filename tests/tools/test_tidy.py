# SPDX-License-Identifier: Apache-2.0
"""tools/tidy fails when a house rule is broken, names the place, and passes on the tree itself."""
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SPDX = "// SPDX-License-Identifier: Apache-2.0\n"
HEADER = SPDX + "#pragma once\n"


def tidy(root, *paths):
    return subprocess.run([ROOT / "tools/tidy", "--root", root, *paths], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=60, check=False)


@pytest.fixture
def tree(tmp_path):
    """Writes files into an empty tree and answers the findings as (place, rule)."""
    def write_and_check(files):
        for path, text in files.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / path).write_text(text)
        result = tidy(tmp_path)
        found = [tuple(line.split(": ")[:2]) for line in result.stdout.splitlines()]
        assert result.returncode == (1 if found else 0), result.stderr
        return found
    return write_and_check


def body(lines):
    return "".join("  ++x;\n" for _ in range(lines))


def test_the_tree_itself_passes():
    result = tidy(ROOT)
    assert result.returncode == 0, result.stdout


def test_clean_file_passes(tree):
    assert tree({"src/delivery/a.h": HEADER + '#include <vector>\n#include "model/ids.h"\n'}) == []


# Layering

def test_core_may_not_include_an_adapter(tree):
    found = tree({"src/delivery/a.cc": SPDX + '#include "store/sqlite/log.h"\n'})
    assert found == [("src/delivery/a.cc:2", "layering")]


@pytest.mark.parametrize("folder, header", [
    ("base", "model/ids.h"), ("model", "ports/journal.h"), ("scaling", "delivery/engine.h"),
    ("service", "backend/local/host.h"), ("store/sqlite", "backend/local/host.h"), ("api", "delivery/engine.h"),
    ("wire", "runner/host.h"), ("cli", "api/server.h"), ("loop", "service/triggers.h")])
def test_upward_and_sideways_includes_are_errors(tree, folder, header):
    assert tree({f"src/{folder}/a.h": HEADER + f'#include "{header}"\n'}) == [(f"src/{folder}/a.h:3", "layering")]


def test_wiring_may_include_everything(tree):
    assert tree({"src/wiring/a.h": HEADER + '#include "store/sqlite/log.h"\n#include "service/triggers.h"\n'}) == []


def test_unknown_folder_must_be_placed(tree):
    assert tree({"src/misc/a.h": HEADER}) == [("src/misc/a.h:1", "layering")]


def test_includes_are_relative_to_src(tree):
    assert tree({"src/model/a.h": HEADER + '#include "ids.h"\n'}) == [("src/model/a.h:3", "layering")]


def test_commented_include_does_not_count(tree):
    assert tree({"src/delivery/a.h": HEADER + '/*\n#include "api/server.h"\n*/\n// #include "api/b.h"\n'}) == []


@pytest.mark.parametrize("path, header, allowed", [
    ("src/store/sqlite/a.cc", "sqlite3.h", True), ("src/service/a.cc", "sqlite3.h", False),
    ("src/api/a.cc", "boost/beast/http.hpp", True), ("src/service/a.cc", "boost/asio.hpp", False),
    ("src/model/a.h", "tl/expected.hpp", True), ("src/delivery/a.cc", "openssl/evp.h", False),
    ("src/model/a_test.cc", "gtest/gtest.h", True), ("src/model/a.cc", "gtest/gtest.h", False),
    ("src/runner/a.cc", "sys/wait.h", True), ("src/delivery/a.cc", "unistd.h", False),
    ("src/delivery/a.cc", "thread", False), ("src/service/a.cc", "mutex", True),
    ("src/api/a.cc", "nlohmann/json.hpp", False)])
def test_libraries_stay_in_their_folders(tree, path, header, allowed):
    text = (HEADER if path.endswith(".h") else SPDX) + f"#include <{header}>\n"
    line = 3 if path.endswith(".h") else 2
    assert tree({path: text}) == ([] if allowed else [(f"{path}:{line}", "libraries")])


def test_a_header_of_tests_may_see_gtest_until_the_program_includes_it(tree):
    header = {"src/model/script.h": HEADER + "#include <gtest/gtest.h>\n"}
    user = SPDX + '#include "model/script.h"\n'
    assert tree({**header, "src/model/a_test.cc": user}) == []
    assert tree({**header, "src/model/a.cc": user}) == [("src/model/script.h:3", "libraries")]


def test_fakes_stay_in_tests(tree):
    fake = {"src/ports/fake_log.h": HEADER + "std::jthread thread;\n"}
    user = SPDX + '#include "ports/fake_log.h"\n'
    assert tree({**fake, "src/service/a_test.cc": user}) == []
    assert tree({**fake, "src/service/a.cc": user}) == [("src/service/a.cc:2", "libraries")]


def test_a_backend_is_tested_with_the_real_host_but_built_without(tree):
    user = SPDX + '#include "runner/host.h"\n'
    assert tree({"src/backend/local/a_test.cc": user}) == []
    assert tree({"src/backend/local/a.cc": user}) == [("src/backend/local/a.cc:2", "layering")]


def test_cmake_may_link_more_to_the_tests_of_a_backend(tree):
    cmake = "# SPDX-License-Identifier: Apache-2.0\ndhub_library(runner src/runner)\n"
    assert tree({"CMakeLists.txt": cmake + "dhub_library(b src/backend/local TEST_LINKS dhub_runner)\n"}) == []
    assert tree({"CMakeLists.txt": cmake + "dhub_library(b src/backend/local LINKS dhub_runner)\n"}) == [
        ("CMakeLists.txt:3", "links")]


def test_cmake_links_obey_the_layers(tree):
    cmake = ("# SPDX-License-Identifier: Apache-2.0\ndhub_library(store src/store/sqlite LINKS dhub_ports)\n"
             "dhub_library(ports src/ports LINKS dhub_model)\n"
             "dhub_library(delivery src/delivery LINKS dhub_ports\n dhub_store)\n")
    assert tree({"CMakeLists.txt": cmake}) == [("CMakeLists.txt:4", "links")]


# Function length

def test_function_of_70_lines_passes_and_of_71_fails(tree):
    assert tree({"src/model/a.cc": SPDX + "int f(int x) {\n" + body(68) + "}\n"}) == []
    assert tree({"src/model/a.cc": SPDX + "int f(int x) {\n" + body(69) + "}\n"}) == [
        ("src/model/a.cc:2", "function-length")]


@pytest.mark.parametrize("head", [
    "namespace dhub {\nclass A final : public B<int(int)> {\n public:\n  explicit A(int x) noexcept : a_{x}, b_(1), c_{2} {",
    "namespace dhub {\nstruct [[nodiscard]] A {\n  bool operator()(const X& y) const {",
    "namespace dhub {\nstruct alignas(64) A {\n  auto f(X y = {}) -> Result<std::map<int, int>> override {",
    "namespace {\nenum class E { A = 1, B };\ntemplate <typename T = int>\n  requires std::same_as<T, int>\nvoid f(T x) {",
    "namespace dhub {\nextern \"C\" {\nvoid f(int x) {",
    "namespace dhub {\nstruct A {\n  bool operator==(const A& x) const {",
    "namespace dhub {\nnamespace {\nTEST(Engine, HoldsTheKey) {"])
def test_long_functions_are_found_in_every_shape(tree, head):
    closing = "}\n" * 3
    found = tree({"src/model/a.cc": SPDX + head + "\n" + body(75) + closing})
    assert [rule for _, rule in found] == ["function-length"]


def test_long_tables_classes_and_comments_are_no_functions(tree):
    table = "const std::array<Row, 90> kRows = {\n" + '    Row{"{", f(1)},\n' * 90 + "};\n"
    klass = "class A {\n public:\n" + "  int f() { return 1; }\n" * 90 + "};\n"
    raw = 'const char* const kText = R"x(\n' + "}{ void f() {\n" * 90 + ')x";\n'
    assert tree({"src/model/a.cc": SPDX + table + klass + raw + "// }\nconst char c = '{';\nint n = 1'000;\n"}) == []


def test_a_lambda_counts_to_its_function(tree):
    text = SPDX + "void f(int x) {\n  auto g = [&] {\n" + body(70) + "  };\n}\n"
    assert tree({"src/model/a.cc": text}) == [("src/model/a.cc:2", "function-length")]


def test_braces_that_do_not_match_are_told(tree):
    assert tree({"src/model/a.cc": SPDX + "void f() {\n"}) == [("src/model/a.cc:1", "function-length")]


def test_long_python_function_fails(tree):
    text = "# SPDX-License-Identifier: Apache-2.0\ndef f():\n" + "    pass\n" * 70
    assert tree({"python/a.py": text}) == [("python/a.py:2", "function-length")]


def test_long_files_fail(tree):
    assert tree({"src/model/a.h": HEADER + "int x;\n" * 599}) == [("src/model/a.h:600", "file-length")]
    assert tree({"src/model/a.h": HEADER, "src/model/a_test.cc": SPDX + '#include "model/a.h"\n' + "int x;\n" * 799}) == [
        ("src/model/a_test.cc:800", "file-length")]


# Banned calls

@pytest.mark.parametrize("path, code", [
    ("src/service/a.cc", "std::this_thread::sleep_for(1s);"), ("src/loop/a.cc", "std::this_thread::sleep_for(1s);"),
    ("src/delivery/a.cc", "auto t = std::chrono::steady_clock::now();"), ("src/service/a.cc", "read_clocks();"),
    ("src/delivery/a.cc", "int x = rand();"), ("src/service/a.cc", "std::random_device d;"),
    ("src/base/a.cc", "std::uniform_int_distribution<int> d;"), ("src/service/a.cc", "std::jthread t;"),
    ("src/loop/a.cc", "t.detach();"), ("src/api/a.cc", 'auto x = getenv("HOME");'),
    ("src/service/a.cc", "std::cout << 1;"), ("src/api/a.cc", "co_await x;"), ("src/wiring/a.cc", "co_return;"),
    ("src/model/a.cc", "assert(x);"), ("src/service/a.cc", "throw std::runtime_error(x);")])
def test_banned_calls_fail(tree, path, code):
    assert tree({path: SPDX + f"void f() {{ {code} }}\n"}) == [(f"{path}:2", "banned")]


@pytest.mark.parametrize("path, code", [
    ("src/base/a.cc", "std::chrono::steady_clock::now();"), ("src/loop/a.cc", "std::jthread t;"),
    ("src/cli/a.cc", 'std::cout << getenv("X");'), ("src/service/a.cc", '// rand() is not used\nlog("sleep_for(");'),
    ("src/service/a.cc", "std::jthread::id x; int operand = grand(1); static_assert(true);"),
    ("src/model/a_test.cc", 'getenv("DHUB_TEST_SEED");')])
def test_allowed_places_and_look_alikes_pass(tree, path, code):
    assert tree({path: SPDX + f"void f() {{ {code} }}\n"}) == []


def test_sleeping_in_a_python_test_fails(tree):
    text = "# SPDX-License-Identifier: Apache-2.0\nimport time\ntime.sleep(1)\n"
    assert tree({"tests/integration/test_a.py": text}) == [("tests/integration/test_a.py:3", "banned")]


def test_sleeping_in_a_step_of_a_test_passes(tree):
    text = '# SPDX-License-Identifier: Apache-2.0\nSTEP = """\ntime.sleep(1)\n"""  # time.sleep(1)\n'
    assert tree({"tests/integration/test_a.py": text}) == []


def test_disabled_tests_fail(tree):
    assert tree({"src/model/a_test.cc": SPDX + "TEST(A, DISABLED_b) {}\n"}) == [("src/model/a_test.cc:2", "disabled-test")]


# First lines, names, leftovers

def test_spdx_pragma_and_own_header(tree):
    assert tree({"src/model/a.h": "#pragma once\n"}) == [("src/model/a.h:1", "spdx"), ("src/model/a.h:2", "pragma-once")]
    assert tree({"src/model/a.h": HEADER, "src/model/a.cc": SPDX + '#include <map>\n#include "model/a.h"\n'}) == [
        ("src/model/a.cc:2", "own-header")]


@pytest.mark.parametrize("code", ["class StoreManager {};", "struct JournalImpl;", "enum class TimeUtil { A };"])
def test_empty_names_fail(tree, code):
    assert tree({"src/model/a.h": HEADER + code + "\n"}) == [("src/model/a.h:3", "names")]


def test_telling_names_pass(tree):
    assert tree({"src/model/a.h": HEADER + "class Implicit {};\nstruct Utility {};\n"}) == []


def test_file_names_are_names_too(tree):
    assert tree({"src/model/string_util.h": HEADER}) == [("src/model/string_util.h:1", "names")]


def test_leftovers_must_not_land(tree):
    assert tree({"src/model/a.h": HEADER + "// " + "FIX" + "ME later\n"}) == [("src/model/a.h:3", "unfinished")]


# Documents

def test_dead_paths_and_links_fail(tree):
    text = "# T\n\nSee `src/gone.h`, `tools/run --all` and [that](gone.md).\n\n```\ntools/nothing\n```\n"
    assert tree({"a.md": text, "tools/run": "#!/usr/bin/env bash\n# SPDX-License-Identifier: Apache-2.0\n"}) == [
        ("a.md:3", "dead-path"), ("a.md:6", "dead-path"), ("a.md:3", "dead-link")]


def test_living_paths_pass(tree):
    text = "# T\n\n`docs/{a,b}.md`, `docs/*.md`, `docs/a.md:1`, `--flag`, `a/b` and [a](docs/a.md#x).\n"
    assert tree({"a.md": text, "docs/a.md": "# A\n", "docs/b.md": "# B\n"}) == []


def test_comments_that_name_a_dead_document_fail(tree):
    assert tree({"src/model/a.h": HEADER + "// See docs/gone.md.\n// See docs/a.md.\n", "docs/a.md": "# A\n"}) == [
        ("src/model/a.h:3", "dead-path")]


def test_documents_have_one_title(tree):
    assert tree({"a.md": "# One\n\n```\n# no title\n```\n\n# Two\n"}) == [("a.md:7", "one-title")]
    assert tree({"a.md": "text\n"}) == [("a.md:1", "one-title")]


def test_big_files_fail(tree):
    assert tree({"samples/a.bin": "x" * (512 * 1024 + 1)}) == [("samples/a.bin:1", "big-file")]
