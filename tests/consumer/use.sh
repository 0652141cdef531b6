#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds and runs a user's project against the library, in one of the two ways to have it:
#   --installed BUILD    `cmake --install BUILD` to a fresh prefix; find_package, then pkg-config
#   --add-subdirectory   the source tree inside the user's build, as a shared library
# All that is written lies under --work. Run by ctest; by hand it needs the same arguments.
set -euo pipefail

mode='' build='' source='' compiler=c++ generator=Ninja work=''
while (($#)); do
  case $1 in
    --installed) mode=installed build=$2; shift 2 ;;
    --add-subdirectory) mode=add_subdirectory; shift ;;
    --source) source=$2; shift 2 ;;
    --compiler) compiler=$2; shift 2 ;;
    --generator) generator=$2; shift 2 ;;
    --work) work=$2; shift 2 ;;
    *) echo "use.sh: unknown argument $1" >&2; exit 2 ;;
  esac
done
: "${mode:?}" "${source:?}" "${work:?}"

fail() { echo "use.sh: $*" >&2; exit 1; }

# expect_squares NAME PROGRAM...: the program prints the squares of 1 to 4 and ends well.
expect_squares() {
  local name=$1 got
  shift
  got=$("$@") || fail "$name: exit status $?"
  [[ $got == $'1\n4\n9\n16' ]] || fail "$name: printed '$got'"
  echo "$name: ok"
}

# build_project DIR ARGS...: configures and builds DIR in $work/build.
build_project() {
  local dir=$1
  shift
  cmake -G "$generator" -S "$dir" -B "$work/build" -DCMAKE_CXX_COMPILER="$compiler" "$@"
  cmake --build "$work/build"
}

rm -rf "$work"
mkdir -p "$work"

if [[ $mode == add_subdirectory ]]; then
  # PROCPOOL_INSTALL, so that this build can also serve --installed.
  build_project "$source/tests/add_subdirectory" \
    -DPROCPOOL_SOURCE_DIR="$source" -DBUILD_SHARED_LIBS=ON -DPROCPOOL_INSTALL=ON
  expect_squares add_subdirectory "$work/build/consumer"
  exit
fi

prefix=$work/prefix
cmake --install "$build" --prefix "$prefix"
[[ -f $prefix/include/procpool/procpool.h ]] || fail "no header was installed"
strays=$(find "$prefix" -type f \
  ! -path '*/include/procpool/*.h' ! -name 'libprocpool.*' ! -name 'procpool*.cmake' \
  ! -name procpool.pc ! -name LICENSE)
[[ -z $strays ]] || fail "installed, but nobody's business: $strays"
if grep -rlF -e "$source" -e "$build" "$prefix" --include='*.cmake' --include='*.pc' --include='*.h'; then
  fail "the installed files above name the build or source tree"
fi

# The installed tree may be moved: what is used below is a copy, the original is gone.
mv "$prefix" "$work/moved"
prefix=$work/moved

build_project "$source/tests/consumer" -DCMAKE_PREFIX_PATH="$prefix"
expect_squares find_package "$work/build/consumer"

pc=$(find "$prefix" -name procpool.pc -printf '%h\n')
read -ra flags <<<"$(PKG_CONFIG_PATH=$pc pkg-config --cflags --libs procpool)"
"$compiler" -std=c++20 "$source/tests/consumer/main.cc" -o "$work/pkg_config" "${flags[@]}"
expect_squares pkg-config env LD_LIBRARY_PATH="$(dirname "$pc")" "$work/pkg_config"
