# Makes this machine ready: system packages, .venv/, the virtual reader's driver. Sourced by scripts/demo and
# scripts/test. Runs as often as you like: what is there already is left alone. Works on Debian 12, Debian 13 and
# Raspberry Pi OS, from nothing but git and python3.
#
# shellcheck shell=bash

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
VENV=$ROOT/.venv

# package=why; installed only where it is missing
PACKAGES=(
  "python3-venv=the project's own Python environment in .venv/"
  "python3-dev=to build the PC/SC binding (pyscard has no ready-made wheels for Linux)"
  "gcc=the same"
  "libc6-dev=the same"
  "pkg-config=the same"
  "swig=the same"
  "libpcsclite-dev=the same"
  "pcscd=the card reader service"
  "mosquitto=the MQTT broker of the demo and the tests"
  "mosquitto-clients=to look at what the broker carries"
  "iproute2=loopback inside the private network of the tests"
  "util-linux=private mounts, network and processes for the tests"
  "libraqm0=shaping of Thai text"
  "libfribidi0=the same"
  "fonts-thai-tlwg=the panel's Thai font"
)

say() { printf '== %s\n' "$*" >&2; }

fail() {
  printf 'setup: %s\n' "$*" >&2
  exit 7
}

# as_root WHY COMMAND...
as_root() {
  local why=$1
  shift
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    say "sudo, to $why"
    sudo "$@"
  else
    fail "root rights are needed to $why, and there is no sudo: run as root: $*"
  fi
}

is_installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

check_machine() {
  command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
    fail "this is not Debian or Raspberry Pi OS; install by hand: ${PACKAGES[*]%%=*}"
  command -v python3 >/dev/null || fail "python3 is missing: apt-get install python3"
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "Python 3.11 or newer is needed; this is $(python3 --version)"
}

install_packages() {
  local entry missing=()
  for entry in "${PACKAGES[@]}"; do
    is_installed "${entry%%=*}" || missing+=("${entry%%=*}")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "system packages to install:"
  for entry in "${PACKAGES[@]}"; do
    is_installed "${entry%%=*}" || printf '   %-20s %s\n' "${entry%%=*}" "${entry#*=}" >&2
  done
  as_root "read the package lists" apt-get -qq update
  as_root "install ${missing[*]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq -y --no-install-recommends install "${missing[@]}" >/dev/null
}

make_venv() {
  local wanted stamp=$VENV/.made-from
  wanted=$(cat "$ROOT/pyproject.toml" "$ROOT/setup.py" <(python3 --version) <(printf '%s' "$ROOT") | sha256sum)
  [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ] || return 0
  if ! "$VENV/bin/python" -c 'import sys' 2>/dev/null; then
    say "making .venv with $(python3 --version)"
    python3 -m venv --clear "$VENV"
  fi
  say "installing the project and its libraries into .venv (a few minutes on a Raspberry Pi)"
  "$VENV/bin/python" -m pip install -qq --disable-pip-version-check -e "$ROOT[agency,dev]"
  printf '%s\n' "$wanted" >"$stamp"
}

# The driver listens on every address of the machine, so it is never installed where the system's own pcscd would
# load it: it is unpacked into .venv/vpcd and used by a pcscd inside scripts/private only (docs/adr/0008).
unpack_virtual_reader() {
  local folder
  compgen -G "$VENV/vpcd/usr/lib/pcsc/drivers/serial/libifdvpcd.so*" >/dev/null && return 0
  say "unpacking the virtual reader's driver into .venv/vpcd (not installed)"
  folder=$(mktemp -d)
  if ! (cd "$folder" && apt-get -qq download vsmartcard-vpcd 2>/dev/null); then
    as_root "read the package lists" apt-get -qq update
    (cd "$folder" && apt-get -qq download vsmartcard-vpcd) || fail "cannot download the package vsmartcard-vpcd"
  fi
  rm -rf "$VENV/vpcd"
  dpkg-deb -x "$folder"/vsmartcard-vpcd_*.deb "$VENV/vpcd"
  rm -r "$folder"
}

setup() {
  check_machine
  install_packages
  make_venv
  unpack_virtual_reader
}
