#!/bin/sh
# Sets up what a Makefile verb needs, and only what has changed since the last time.
#
#   .ci/setup.sh run|bench|test|lab|lint|lock    venv and locked packages; for test and lab also Debian packages
#   .ci/setup.sh tools                       make itself, for .ci/run on a bare Debian
#
# VENV (default .venv) names the virtual environment. Packages come only from the hashed locks in requirements/.
# Missing Debian packages are installed where that is allowed (root, or sudo without a password); otherwise the
# one line to type is printed and the exit code is 1.
set -eu
cd "$(dirname "$0")/.."
venv=${VENV:-.venv}
oldest=11 newest=13 # Python 3.x, as requires-python in pyproject.toml
apt_lock_wait_s=300 # a fresh Raspberry Pi OS updates itself in the background for minutes

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "$@"
    exit 1
}

install_debian() { # package...
    if ! command -v apt-get >/dev/null; then
        fail "Missing: $*" "This is no Debian: install them your system's way, then try again."
    fi
    if [ "$(id -u)" = 0 ]; then
        sudo=
    elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
        sudo="sudo -n"
    else
        say "Missing Debian packages. Type this line, then try again:"
        fail "    sudo apt-get update && sudo apt-get install -y --no-install-recommends $*"
    fi
    say "Installing Debian packages: $*"
    apt="$sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=$apt_lock_wait_s"
    # A failed update is no reason to stop: the lists at hand may do, and the install says so if they do not.
    # shellcheck disable=SC2086 # $apt is a command with its words
    $apt update >&2 || say "apt-get update failed, trying with the lists at hand"
    # shellcheck disable=SC2086
    $apt install -y --no-install-recommends "$@" </dev/null >&2 || fail "apt-get could not install: $*"
}

python_fits() { # python: the command exists and is a version we run on
    "$1" -c "import sys; sys.exit(not (3, $oldest) <= sys.version_info[:2] <= (3, $newest))" 2>/dev/null
}

find_python() {
    for python in python3 python3.13 python3.12 python3.11; do
        if command -v "$python" >/dev/null && python_fits "$python"; then
            return 0
        fi
    done
    install_debian python3
    python=python3
    python_fits "$python" || fail "Python 3.$oldest to 3.$newest is needed; this system has $("$python" --version 2>&1)."
}

venv_works() { # A system upgrade takes the venv's Python away: then it is made anew.
    python_fits "$venv/bin/python" && "$venv/bin/python" -c 'import pip' 2>/dev/null
}

make_venv() {
    if venv_works; then
        return 0
    fi
    find_python
    # Debian splits ensurepip off into python3-venv.
    "$python" -c 'import ensurepip, venv' 2>/dev/null || install_debian python3-venv
    say "Making $venv with $("$python" --version)"
    "$python" -m venv --clear "$venv"
}

install_locked() { # name of a lock
    lock=requirements/$1.txt
    stamp=$venv/.installed-$1
    wanted=$(cat "$lock" pyproject.toml .ci/setup.sh | sha256sum)
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
        return 0
    fi
    say "Installing $lock"
    # -qq: only errors. Byte code is made at the first import, of what is imported.
    pip="$venv/bin/python -m pip -qq --disable-pip-version-check --no-input install --no-compile"
    # No wheel here means a compiler is needed: better to say so than to start a build.
    # shellcheck disable=SC2086 # $pip is a command with its words
    $pip --require-hashes --only-binary :all: -r "$lock" </dev/null
    if [ "$1" != lock ]; then
        # The project itself, for its console scripts; setuptools is in the lock, so this needs no network.
        # shellcheck disable=SC2086
        $pip --no-deps --no-build-isolation --no-index --editable . </dev/null
    fi
    printf '%s\n' "$wanted" >"$stamp"
}

need_test_packages() {
    missing=
    command -v umockdev-wrapper >/dev/null || missing="$missing umockdev"
    # The mock runs in Debian's own Python: gi is a Debian package, not one of the venv.
    system_python=/usr/bin/python3
    $system_python -c 'import gi' 2>/dev/null || missing="$missing python3-gi"
    $system_python -c 'import gi; gi.require_version("UMockdev", "1.0")' 2>/dev/null ||
        missing="$missing gir1.2-umockdev-1.0"
    # A PC/SC service with a virtual reader, and its cards.
    command -v pcscd >/dev/null && [ -e /usr/lib/pcsc/drivers/serial/libifdvpcd.so ] ||
        missing="$missing pcscd vsmartcard-vpcd"
    # A modem to ask, as ModemManager shows one on the bus.
    command -v dbus-daemon >/dev/null || missing="$missing dbus"
    $system_python -c 'import dbusmock' 2>/dev/null || missing="$missing python3-dbusmock"
    # Without a font Chromium draws boxes, and the pages' widths mean nothing.
    command -v chromium >/dev/null || command -v chromium-browser >/dev/null ||
        missing="$missing chromium fonts-dejavu-core"
    # The centre's tests run on PostgreSQL too, on a server of their own.
    ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$missing postgresql"
    # Asked for with the rest, so that there is one line to type and not two.
    venv_works || $system_python -c 'import ensurepip' 2>/dev/null || missing="$missing python3-venv"
    # shellcheck disable=SC2086 # a list of package names
    [ -z "$missing" ] || install_debian $missing
}

need_nginx() { # The program alone, beside the tests: as a package it would serve port 80 from then on.
    if command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] || [ -x build/nginx/usr/sbin/nginx ]; then
        return 0
    fi
    mkdir -p build
    # shellcheck disable=SC2015 # whichever step fails, the tests go on without it and say so
    (cd build && apt-get -qq download nginx >&2 && dpkg -x nginx_*.deb nginx && rm nginx_*.deb) ||
        say "nginx could not be had: its tests will be left out"
}

need_lab_packages() {
    # Elsewhere it cannot be built, and says so itself.
    [ "$(uname -m)" = x86_64 ] && [ "$(id -u)" = 0 ] || return 0
    missing=
    command -v qemu-system-x86_64 >/dev/null || missing="$missing qemu-system-x86"
    command -v qemu-img >/dev/null || missing="$missing qemu-utils"
    command -v mmdebstrap >/dev/null || missing="$missing mmdebstrap"
    command -v mkfs.ext4 >/dev/null || missing="$missing e2fsprogs"
    # shellcheck disable=SC2086 # a list of package names
    [ -z "$missing" ] || install_debian $missing
}

case ${1:-} in
run | lint | lock)
    make_venv
    install_locked "$1"
    ;;
bench)
    make_venv
    install_locked test
    ;;
test)
    need_test_packages
    need_nginx
    make_venv
    install_locked test
    ;;
lab)
    need_lab_packages
    make_venv
    install_locked test
    ;;
tools)
    command -v make >/dev/null || install_debian make
    ;;
*)
    fail "usage: $0 run|bench|test|lab|lint|lock|tools"
    ;;
esac
