#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds a program in every way a program can be, and runs it:
#   kinds.sh --source ROOT --library LIBPROCPOOL --compiler C++ --work DIR KIND
# KIND: pie, no-pie, static, static-pie, hidden, stripped, lto, shared. Run by ctest. The library is
# libprocpool.a, and libprocpool.so for the kind shared.
set -euo pipefail

source='' library='' compiler=c++ work='' kind=''
while (($#)); do
  case $1 in
    --source) source=$2; shift 2 ;;
    --library) library=$2; shift 2 ;;
    --compiler) compiler=$2; shift 2 ;;
    --work) work=$2; shift 2 ;;
    *) kind=$1; shift ;;
  esac
done
: "${source:?}" "${library:?}" "${work:?}" "${kind:?}"

here=$source/tests/kinds
flags=(-std=c++20 -O1 -Wall -Wextra -Werror -I "$source/include" -pthread)
rm -rf "$work"
mkdir -p "$work"

fail() { echo "kinds.sh: $kind: $*" >&2; exit 1; }

# objects FLAGS...: the library's sources, compiled with these.
objects() {
  mkdir -p "$work/objects"
  find "$source/src" -name '*.cc' -print0 |
    xargs -0 -P "$(nproc)" -I {} bash -c \
      'o=$1/objects/$(echo "${2#"$3"/}" | tr / _).o; shift 3; "$@" -c "$0" -o "$o"' \
      {} "$work" {} "$source/src" "$compiler" "${flags[@]}" -I "$source/src" "$@"
}

# program FLAGS...: builds main.cc with them, and expects its ok.
program() {
  # A warning of the linker (dlopen in a static program) would be every user's.
  "$compiler" "${flags[@]}" "$@" -Wl,--fatal-warnings -o "$work/program"
  local said
  said=$("$work/program") || fail "exit status $?: $said"
  [[ $said == ok ]] || fail "said '$said'"
}

case $kind in
  pie) program -fPIE -pie "$here/main.cc" "$library" ;;
  no-pie) program -fno-pie -no-pie "$here/main.cc" "$library" ;;
  static) program -fno-pie -static "$here/main.cc" "$library" ;;
  static-pie) program -fPIE -static-pie "$here/main.cc" "$library" ;;
  hidden) program -fvisibility=hidden -fvisibility-inlines-hidden "$here/main.cc" "$library" ;;
  stripped) program -s -Wl,--gc-sections -Wl,--build-id=none "$here/main.cc" "$library" ;;
  lto)
    objects -flto -fvisibility=hidden
    program -flto=auto -fvisibility=hidden "$here/main.cc" "$work"/objects/*.o
    ;;
  shared)
    # The library as a shared one, for a host and its plug-in; and a library that is replaced on disk.
    for version in 1 2; do
      echo "extern \"C\" int library_version() { return $version; }" >"$work/version$version.cc"
      "$compiler" -shared -fPIC -Wl,--build-id -Wl,-soname,libversion.so \
        -o "$work/libversion$version.so" "$work/version$version.cc"
    done
    cp "$work/libversion1.so" "$work/libversion.so"
    "$compiler" "${flags[@]}" "$here/host.cc" "$library" "$work/libversion.so" \
      -Wl,-rpath,"$(dirname "$library"):$work" -o "$work/host"
    "$compiler" "${flags[@]}" -shared -fPIC "$here/plugin.cc" "$library" \
      -Wl,-rpath,"$(dirname "$library")" -o "$work/plugin.so"
    said=$("$work/host" "$work/plugin.so") || fail "exit status $?: $said"
    [[ $said == 'ok 1' ]] || fail "said '$said'"
    said=$("$work/host" replaced "mv '$work/libversion2.so' '$work/libversion.so'") &&
      fail "said '$said'"
    [[ $said =~ libversion.so\ has\ build-id\ [0-9a-f]{40},\ the\ parent\'s\ has\ [0-9a-f]{40} ]] ||
      fail "said '$said'"
    ;;
  *) fail 'no such kind' ;;
esac
echo "$kind: ok"
rm -rf "$work"
