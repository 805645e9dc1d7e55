#!/bin/sh
# "Execute a command": a command line for /bin/sh, run in the unpacked folder; the archive may have
# as many files and sub-folders as you like.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir -p "$work/tree/conf.d/site"
echo "level = info" > "$work/tree/conf.d/base.conf"
echo "site = lyon" > "$work/tree/conf.d/site/lyon.conf"
tar -C "$work/tree" -czf "$work/package.tar.gz" conf.d

package=$(deploy-server package build "Example: execute a command on files" --os any \
    --action execute --file "$work/package.tar.gz" --fragments 3 --priority 4 \
    --command "cat conf.d/base.conf conf.d/site/lyon.conf > '${TARGET:-/tmp/tranche-execute}'" |
    head -n 1)
deploy-server package activate "$package" >/dev/null
echo "$package"
