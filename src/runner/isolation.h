// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <sys/types.h>

namespace dhub::runner {

// How far the processes of a template can be kept together, best first. With a namespace of their own they all end with
// the template, whatever they did to get away. Without one the host adopts and kills them (it is a subreaper), which
// does not help when the host itself is killed.
enum class Isolation { Namespace, UserNamespace, None };
[[nodiscard]] const char* name_of(Isolation isolation);

// Tries it out with a short-lived child.
[[nodiscard]] Isolation best_isolation();

// Forks. In the child the isolation is set up, the parent-death signal is set and `run` is called, which must not
// return. Answers the child's pid, -1 with errno. The caller is single-threaded.
[[nodiscard]] pid_t fork_isolated(Isolation isolation, const std::function<void()>& run);

}  // namespace dhub::runner
