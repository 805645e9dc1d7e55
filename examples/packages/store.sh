#!/bin/sh
# "Store": the archive's files go below a path; missing folders are made, files are replaced one by
# one, dot files come along.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir -p "$work/tree/docs/deep"
echo "read me" > "$work/tree/README"
echo "hidden" > "$work/tree/.profile"
echo "deep" > "$work/tree/docs/deep/note.txt"
tar -C "$work/tree" -czf "$work/package.tar.gz" .

package=$(deploy-server package build "Example: store files" --os any --action store \
    --file "$work/package.tar.gz" --path "${TARGET:-/tmp/tranche-store}" | head -n 1)
deploy-server package activate "$package" >/dev/null
echo "$package"
