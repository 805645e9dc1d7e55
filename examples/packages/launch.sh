#!/bin/sh
# "Execute a file": the archive brings a program; it runs in the unpacked folder, with arguments,
# and its exit code is the result.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat > "$work/setup.sh" <<'SCRIPT'
#!/bin/sh
# $1: where to write a note that this ran
echo "set up from $(pwd)" > "$1"
SCRIPT
tar -C "$work" -czf "$work/package.tar.gz" setup.sh

package=$(deploy-server package build "Example: execute a file" --os any --action launch \
    --file "$work/package.tar.gz" --command "setup.sh ${TARGET:-/tmp/tranche-launch}" | head -n 1)
deploy-server package activate "$package" >/dev/null
echo "$package"
