# shellcheck shell=bash
# What the scripts of this folder share. Source it; it goes to the root of the repository.
SELF=$(realpath "$0") # before the cd: it may be relative
CALLER=$PWD           # likewise what its arguments name
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2
# The distribution's own tools first: setup installs those, and their Python has pytest.
export PATH=/usr/bin:/bin:/usr/sbin:/sbin:$PATH
# Without this ccache keeps nothing that was compiled with a precompiled header (its manual, "Precompiled headers").
export CCACHE_SLOPPINESS=pch_defines,time_macros

# callers FILE: the path of what an argument names, whole.
callers() { (cd "$CALLER" && realpath -m "$1"); }

say() { printf '== %s\n' "$*" >&2; }

# usage: prints the comment at the top of the script and ends it. Status 0, or 2 after a message.
usage() {
  if (($#)); then
    printf '%s: %s (see --help)\n' "${0##*/}" "$*" >&2
    exit 2
  fi
  sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$SELF"
  exit 0
}

# cannot_run FACT: this machine lacks FACT.
cannot_run() {
  printf '%s: cannot run here: %s\n' "${0##*/}" "$*" >&2
  exit 77
}

# has_keys: the processor has protection keys and the kernel has switched them on.
has_keys() { grep -qw ospke /proc/cpuinfo; }

# find_root: how a command runs as root goes into AS_ROOT; fails where there is no way.
AS_ROOT=()
find_root() {
  ((EUID)) || return 0
  sudo -n true 2>/dev/null && AS_ROOT=(sudo -n -E)
}
# shellcheck disable=SC2034
NO_ROOT='the emulator needs root, or sudo without a password'
# pku_vm ARGUMENTS...: ci/pku-vm as root, after find_root.
pku_vm() { ${AS_ROOT[@]+"${AS_ROOT[@]}"} ci/pku-vm "$@"; }

# installed PACKAGE
installed() { [[ $(dpkg-query -W -f '${Status}' "$1" 2>/dev/null) == 'install ok installed' ]]; }
