#!/bin/sh
# The main job, end to end, on this computer alone: make an environment, certificates, a server, a
# package of several fragments and an agent; build, activate, assign; let the agent fetch, verify
# and run it; and see its SUCCESS in the server.
#
#   sh examples/quickstart.sh          leaves the server running until Ctrl-C
#   sh examples/quickstart.sh --exit   stops everything; exits 0 only when the package succeeded
#
# Everything it makes is in .quickstart/ beside README.rst; delete that folder and it is gone. For root
# the agent's files are in a temporary folder, which is named at the end.
set -eu

leave=no
case "${1:-}" in
    --exit) leave=yes ;;
    "") ;;
    *) echo "quickstart: unknown option $1; the only one is --exit" >&2; exit 2 ;;
esac

top=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
home=${TRANCHE_QUICKSTART:-$top/.quickstart}
venv=$home/venv

say() { printf '\n== %s\n' "$*"; }

need_python() {
    command -v python3 >/dev/null || missing="python3 python3-venv"
    python3 -c 'import ensurepip, venv' 2>/dev/null || missing="python3-venv"
    [ -n "${missing:-}" ] || return 0
    if [ "$(id -u)" = 0 ]; then
        apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $missing
    else
        echo "quickstart: Python's venv is missing. Type: sudo apt-get install $missing" >&2
        exit 1
    fi
}

make_environment() {
    stamp=$(cat "$top/setup.cfg" "$top/pyproject.toml" | cksum)
    if [ "$(cat "$venv/.stamp" 2>/dev/null)" = "$stamp" ]; then return; fi
    say "Making an environment in $venv (once; about a minute)"
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -e "$top[server,agent]"
    printf '%s' "$stamp" > "$venv/.stamp"
}

server_pid=
stop() {
    status=$?
    trap - EXIT INT TERM
    if [ -n "$server_pid" ]; then kill "$server_pid" 2>/dev/null || :; wait "$server_pid" || :; fi
    if [ "$leave$status" = yes0 ]; then rm -rf "$run" "$computer"; fi
    exit "$status"
}

free_ports() {
    "$venv/bin/python" -c 'import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(each.getsockname()[1] for each in held))'
}

wait_for_server() {
    tries=0
    until grep -q '^Console: ' "$run/server.log" 2>/dev/null; do
        tries=$((tries + 1))
        if [ "$tries" -gt 300 ] || ! kill -0 "$server_pid" 2>/dev/null; then
            echo "quickstart: the server did not start; its log:" >&2
            cat "$run/server.log" >&2
            exit 1
        fi
        sleep 0.1
    done
}

make_payload() {
    mkdir -p "$run/payload/data"
    cat > "$run/payload/install.sh" <<'SCRIPT'
#!/bin/sh
echo "Hello from $(pwd), said to $1"
cksum data/blob
SCRIPT
    head -c 400000 /dev/urandom > "$run/payload/data/blob"
    tar -C "$run/payload" -czf "$run/hello.tar.gz" install.sh data
}

need_python
mkdir -p "$home"
make_environment
run=$(mktemp -d "$home/run.XXXXXX")
# Root believes only what nobody else can change, and this clone may be somebody else's.
computer=$run
if [ "$(id -u)" = 0 ]; then computer=$(mktemp -d); fi
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
export DEPLOY_SERVER_DATA="$run/server"
PATH=$venv/bin:$PATH
agent() { deploy-agent --config "$computer/agent.toml" --state "$computer/agent" "$@"; }

say "Making the server's folder, its own CA and its certificate"
password=$(python3 -c 'import secrets; print(secrets.token_urlsafe(12))')
printf '%s\n' "$password" | deploy-server init --host localhost --password-file -

say "Starting the server on HTTPS and HTTP"
set -- $(free_ports)
deploy-server run --bind 127.0.0.1 --http-port "$1" --https-port "$2" > "$run/server.log" 2>&1 &
server_pid=$!
wait_for_server
server=https://localhost:$2

say "Configuring an agent that trusts exactly this CA; its first contact sends the inventory"
install -m 644 "$DEPLOY_SERVER_DATA/certs/cacert.pem" "$computer/cacert.pem"
agent configure --server "$server" --ca "$computer/cacert.pem"
agent once --no-wait
device=$(deploy-server computer list --json |
    python3 -c 'import json, sys; print(json.load(sys.stdin)[0]["device_id"])')

say "Building a package of several fragments, activating it, assigning it to $device"
make_payload
package=$(deploy-server package build "Hello" --os any --action launch --file "$run/hello.tar.gz" \
    --command "install.sh world" --fragment-size 64KiB --priority 1 | head -n 1)
echo "(The warning about localhost is right; here the agent does run on the same computer.)"
deploy-server package activate "$package"
deploy-server assign "$package" --computer "$device"

say "The agent's next contact: info file by HTTPS, fragments by HTTP, verify, run, report"
agent once --no-wait

say "What the server says"
deploy-server stats "$package"
deploy-server computer show "$device" --json > "$run/computer.json"
python3 - "$run/computer.json" "$package" <<'CHECK'
import json
import sys

deployments = json.load(open(sys.argv[1]))["deployments"]
status = [each["status"] for each in deployments if each["package"] == sys.argv[2]]
print(f"Package {sys.argv[2]}: {' '.join(status) or 'nothing'}")
sys.exit(0 if status == ["SUCCESS"] else 1)
CHECK

say "Done. Console: $server/   login: admin   password: $password"
if [ "$leave" = yes ]; then exit 0; fi
echo "Its CA for your browser: $DEPLOY_SERVER_DATA/certs/cacert.pem"
if [ "$computer" != "$run" ]; then echo "The agent's files: $computer"; fi
echo "The server runs until Ctrl-C."
wait "$server_pid"
