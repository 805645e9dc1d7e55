#!/bin/sh
# Set up what the suite needs, then run it:  sh tests/run.sh [pytest args]
#
# Needs Debian 12+ or Ubuntu 24.04+ with python3; root or not. Everything lives in .venv (TRANCHE_VENV
# names another place) and in temporary folders. TRANCHE_TEST_WORKERS sets the number of pytest's
# processes (default: three for two processors, because a quarter of the time a test waits for a disk
# or for another program).
set -eu
CDPATH='' cd -- "$(dirname -- "$0")/.."

say() { printf '%s\n' "$*" >&2; }

# Debian's names, each with what uses it:
# the environment                                 python3-venv
# storage and service tests                       postgresql
# tests/integration: the real OCS agent, with TLS ocsinventory-agent liblwp-protocol-https-perl libio-socket-ssl-perl
# tests/protocol: Perl reads our info files       libxml-simple-perl
# tests/integration, tests/benchmarks             nginx-light curl
# tests/faults: what is synced, and when          strace
# tests/unit: systemd's own word on our unit      systemd
# tests/integration/dialogs: windows, clicked     xvfb zenity xdotool
# tests/integration: the locks of others          rpm dnf zypper
# tests/browser                                   chromium
debian_packages() {
    echo python3-venv postgresql nginx-light curl systemd strace rpm dnf zypper
    echo ocsinventory-agent liblwp-protocol-https-perl libio-socket-ssl-perl libxml-simple-perl
    echo xvfb zenity xdotool
    # Ubuntu has Chromium as a snap only, which cannot be driven from a test's own folder:
    # there the browser tests look for a Chrome and skip with a reason when there is none.
    grep -qs '^ID=ubuntu' /etc/os-release || echo chromium
}

missing_packages() {
    for package in $(debian_packages); do
        case $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) in
        installed) ;;
        *) printf '%s ' "$package" ;;
        esac
    done
}

install_packages() {
    command -v dpkg-query >/dev/null || {
        say "Not a Debian system: tests whose programs are missing will be skipped."
        return 0
    }
    missing=$(missing_packages)
    [ -n "$missing" ] || return 0
    line="apt-get install -y --no-install-recommends $missing"
    if [ "$(id -u)" != 0 ]; then
        say "The tests need Debian packages that are not installed. Type this line, then start again:"
        say ""
        say "    sudo sh -c 'apt-get update && $line'"
        exit 1
    fi
    say "Installing $missing"
    export DEBIAN_FRONTEND=noninteractive
    # The lists of a fresh container are empty and those of an old one name files that are gone.
    $line -qq >/dev/null 2>&1 || { apt-get update -qq && $line -qq >/dev/null; }
}

check_python() {
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
        say "python3 is older than 3.11: use Debian 12 or later, or Ubuntu 24.04 or later."
        exit 1
    }
}

# What the environment was made from: when this is unchanged, there is nothing to install.
fingerprint() {
    { pwd; python3 -V; cat setup.cfg pyproject.toml; } | sha256sum | cut -d ' ' -f 1
}

make_environment() {
    venv=${TRANCHE_VENV:-.venv}
    stamp=$venv/tranche-tests.stamp
    wanted=$(fingerprint)
    [ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ] || return 0
    say "Making the environment in $venv (about a minute, once)"
    python3 -m venv "$venv"
    PIP_ROOT_USER_ACTION=ignore "$venv/bin/python" -m pip install -q -e '.[test]'
    echo "$wanted" >"$stamp"
}

failed=''
step() {
    name=$1
    shift
    say "== $name"
    "$@" || failed="$failed $name,"
}

install_packages
check_python
make_environment
PATH=$(cd "$venv/bin" && pwd):$PATH
export PATH
# Images of containers like to set this. The suite starts some thousand processes, and two thirds of
# the time until one of them begins is compiling the same files again.
unset PYTHONDONTWRITEBYTECODE

step "ruff check" ruff check --quiet .
step "ruff format" ruff format --quiet --check .
step "mypy" mypy --no-error-summary
step "import-linter" lint-imports --no-logo
workers=${TRANCHE_TEST_WORKERS:-$((($(nproc) * 3 + 1) / 2))}
step "pytest" python -m pytest -n "$workers" --dist loadgroup "$@"

[ -z "$failed" ] || {
    say "Failed:${failed%,}"
    exit 1
}
