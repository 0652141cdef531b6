// SPDX-License-Identifier: MIT
#include "process/program.h"

#include <fcntl.h>
#include <spawn.h>
#include <unistd.h>

#include <charconv>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/sys.h"

namespace procpool::process {
namespace {

constexpr const char* executable = "/proc/self/exe";
constexpr std::string_view zygote_word = "--procpool=zygote";
constexpr std::string_view worker_word = "--procpool=worker:";
constexpr const char* depth_variable = "PROCPOOL_DEPTH";

std::string program_name;  // empty: not noted
int own_depth = 0;

int number(const char* text) noexcept {
  int n = 0;
  if (text != nullptr) std::from_chars(text, text + std::strlen(text), n);
  return n < 0 ? 0 : n;
}

/// What execve wants, made before a fork: nothing is allocated between the two.
class command {
 public:
  explicit command(const assignment& a)
      : role_(a.as == assignment::role::zygote
                  ? std::string(zygote_word)
                  : std::string(worker_word) + std::to_string(a.worker)),
        depth_(std::string(depth_variable) + "=" + std::to_string(depth() + 1)),
        argv_{program_name.data(), role_.data(), nullptr} {
    const std::string_view name(depth_.data(), std::strlen(depth_variable) + 1);
    for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable)
      if (!std::string_view(*variable).starts_with(name)) envp_.push_back(*variable);
    envp_.push_back(depth_.data());
    envp_.push_back(nullptr);
  }
  command(const command&) = delete;
  command& operator=(const command&) = delete;

  [[nodiscard]] char* const* argv() const noexcept { return argv_; }
  [[nodiscard]] char* const* envp() const noexcept { return envp_.data(); }

 private:
  std::string role_;
  std::string depth_;
  char* argv_[3];
  std::vector<char*> envp_;
};

/// Copies numbered above the places they are meant for: so none overwrites another on its way
/// there.
std::vector<base::fd> copies_out_of_the_way(std::span<const int> descriptors) {
  const int end = first_descriptor + static_cast<int>(descriptors.size());
  std::vector<base::fd> copies;
  for (const int d : descriptors)
    copies.emplace_back(sys::check(sys::dup_cloexec(d, end), "fcntl(F_DUPFD_CLOEXEC)"));
  return copies;
}

class spawn_plan {
 public:
  explicit spawn_plan(std::span<const base::fd> copies) {
    posix_spawn_file_actions_init(&actions_);
    posix_spawnattr_init(&attributes_);
    int number = first_descriptor;
    int error = 0;
    for (const base::fd& copy : copies)
      error |= posix_spawn_file_actions_adddup2(&actions_, copy.get(), number++);
    error |= posix_spawn_file_actions_addclosefrom_np(&actions_, number);
    // No signal meets it before it has put its house in order.
    sigset_t all;
    sigfillset(&all);
    error |= posix_spawnattr_setsigmask(&attributes_, &all);
    error |= posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK);
    if (error != 0) {
      destroy();
      throw std::bad_alloc();  // none of these can fail for another reason
    }
  }
  spawn_plan(const spawn_plan&) = delete;
  spawn_plan& operator=(const spawn_plan&) = delete;
  ~spawn_plan() { destroy(); }

  [[nodiscard]] const posix_spawn_file_actions_t* actions() const noexcept { return &actions_; }
  [[nodiscard]] const posix_spawnattr_t* attributes() const noexcept { return &attributes_; }

 private:
  void destroy() noexcept {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

}  // namespace

void note_program(const char* name) { program_name = name; }

bool program_noted() noexcept { return !program_name.empty(); }

std::optional<assignment> read_assignment(int argc, const char* const* argv) noexcept {
  if (argc != 2) return std::nullopt;
  const std::string_view word = argv[1];
  if (word == zygote_word) return assignment{assignment::role::zygote};
  if (word.starts_with(worker_word))
    return assignment{assignment::role::worker,
                      static_cast<std::uint32_t>(number(argv[1] + worker_word.size()))};
  return std::nullopt;
}

int depth() noexcept {
  // Not taken: a program that was executed again and has not called procpool::init.
  return own_depth != 0 ? own_depth : number(std::getenv(depth_variable));
}

void set_depth(int depth) noexcept { own_depth = depth; }

int take_depth() noexcept {
  const int said = number(std::getenv(depth_variable));
  ::unsetenv(depth_variable);
  return said;
}

pid_t execute_again(const assignment& a, std::span<const int> descriptors) {
  const command c(a);
  const std::vector<base::fd> copies = copies_out_of_the_way(descriptors);
  const spawn_plan plan(copies);
  pid_t pid = -1;
  sys::check(sys::spawn(&pid, executable, plan.actions(), plan.attributes(), c.argv(), c.envp()),
             "executing this program again (/proc/self/exe)");
  return pid;
}

int become_again(const assignment& a, std::span<const int> descriptors) noexcept {
  try {
    const command c(a);
    const std::vector<base::fd> copies = copies_out_of_the_way(descriptors);
    int number = first_descriptor;
    for (const base::fd& copy : copies)
      if (sys::dup2(copy.get(), number++) == -1) return errno;
    // What the user's static constructors opened without a thought of us.
    sys::close_range(static_cast<unsigned>(number), ~0U, CLOSE_RANGE_CLOEXEC);
    sys::execve(executable, c.argv(), c.envp());
    return errno;
  } catch (const std::system_error& e) {
    return e.code().value();
  } catch (const std::bad_alloc&) {
    return ENOMEM;
  }
}

}  // namespace procpool::process
