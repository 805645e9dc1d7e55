#!/bin/sh
# "Execute a command" without a file: only what is on the computer already.
set -eu

package=$(deploy-server package build "Example: only a command" --os any --action execute \
    --command "uname -a > '${TARGET:-/tmp/tranche-command}'" --execution-timeout 5 | head -n 1)
deploy-server package activate "$package" >/dev/null
echo "$package"
