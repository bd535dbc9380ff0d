#!/bin/sh
# Makes .venv from the locks, and installs or names what the system lacks. Quick when nothing has changed.
#   deploy/setup.sh            for using Officina
#   deploy/setup.sh test       also what its tests need (a browser, CalculiX, OpenFOAM, Slurm ...)
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
venv="$root/.venv"
wish=${1:-}
[ -e "$venv/officina-for-tests" ] && wish=test # what was set up for tests once stays so
lock="$root/requirements.lock"
[ "$wish" = test ] && lock="$root/requirements-dev.lock"
# every file that decides what gets installed, and the wish
now=$(cat "$root/requirements.lock" "$root/requirements-dev.lock" "$root/pyproject.toml" "$0" | cksum | tr -d ' ')
stamp="$venv/officina-ready-$now"
if [ -e "$stamp" ] && { [ "$wish" != test ] || [ -e "$venv/officina-for-tests" ]; }; then exit 0; fi

say() { printf 'officina: %s\n' "$*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }

# --- Debian packages: libraries that gmsh, VTK and the form compiler load -------------------------------------
missing=''
need() { missing="$missing $1"; }
has_library() { ldconfig -p 2>/dev/null | grep -q "$1" || /sbin/ldconfig -p 2>/dev/null | grep -q "$1"; }
has_library libGLU.so.1 || need libglu1-mesa
has_library libXcursor.so.1 || need libxcursor1
has_library libXft.so.2 || need libxft2
has_library libXinerama.so.1 || need libxinerama1
has_library libXrender.so.1 || need libxrender1
has_library libXfixes.so.3 || need libxfixes3
has_library libgomp.so.1 || need libgomp1
has_library libfontconfig.so.1 || need libfontconfig1
has_library libOSMesa.so || need libosmesa6
has_library libEGL.so.1 || need libegl1
have gcc && [ -e /usr/include/stdio.h ] || need "gcc libc6-dev"
if ! have uv && ! python3 -m venv --help >/dev/null 2>&1; then need python3-venv; fi
if ! have uv && ! python3 -c 'import ensurepip' >/dev/null 2>&1; then need python3-venv; fi
if [ "$wish" = test ]; then
    have chromium || need chromium
    have ccx || need calculix-ccx
    have pdftotext || need poppler-utils
    # engines and peers: OpenFOAM, LIGGGHTS
    have simpleFoam || need openfoam
    have liggghts || need liggghts
    # a cluster on this machine, and a database of many users
    have sbatch || need slurm-wlm
    have munged || [ -x /usr/sbin/munged ] || need munge
    have sshd || [ -x /usr/sbin/sshd ] || need openssh-server
    have ip || [ -x /sbin/ip ] || need iproute2
    ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || need postgresql
fi
if [ -n "$missing" ]; then
    missing=$(printf '%s\n' $missing | sort -u | tr '\n' ' ')
    line="apt-get install -y --no-install-recommends $missing"
    if have apt-get && { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }; then
        as=''; [ "$(id -u)" = 0 ] || as=sudo
        say "installing system packages: $missing"
        export DEBIAN_FRONTEND=noninteractive
        $as apt-get update -qq && $as $line -qq >/dev/null || { say "that failed; please run: $line"; exit 3; }
    else
        say "this machine lacks libraries. Please run (as root), then try again:"
        say "  apt-get update && $line"
        exit 3
    fi
fi

# --- uv, and with it Python 3.12 and the locked packages ------------------------------------------------------
if have uv; then uv=uv; else
    tool="$root/.venv-uv"
    if [ ! -x "$tool/bin/uv" ]; then
        say "installing uv, which installs the rest"
        python3 -m venv "$tool" && "$tool/bin/python" -m pip install -q --disable-pip-version-check "uv>=0.9" ||
            { rm -rf "$tool"; say "uv could not be installed; install it yourself and try again"; exit 3; }
    fi
    uv="$tool/bin/uv"
fi
say "setting up the environment in .venv (about 2 GB, once)"
cd "$root"
if [ ! -x "$venv/bin/python" ]; then
    "$uv" venv -q --python 3.12 "$venv" ||
        { say "Python 3.12 could not be found or fetched; install it and try again"; exit 3; }
fi
"$uv" pip sync -q --python "$venv/bin/python" --require-hashes "$lock"
"$uv" pip install -q --python "$venv/bin/python" --no-deps --editable "$root"
rm -f "$venv"/officina-ready-*
touch "$stamp"
if [ "$wish" = test ]; then touch "$venv/officina-for-tests"; fi
