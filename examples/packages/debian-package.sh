#!/bin/sh
# A .deb through apt. When another apt or dpkg is at work, the package waits for its turn instead of
# failing: helpers/when-unlocked.sh turns a taken lock into exit code 75, which --retry-code names.
# With TARGET it goes into a folder with a dpkg database of its own, and needs no root.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)

mkdir -p "$work/deb/DEBIAN" "$work/deb/usr/share/tranche-example" "$work/tree"
cat > "$work/deb/DEBIAN/control" <<'CONTROL'
Package: tranche-example
Version: 1.0
Architecture: all
Maintainer: Nobody <nobody@example.org>
Description: what an example of Tranche installs
CONTROL
echo "installed by apt" > "$work/deb/usr/share/tranche-example/note"
dpkg-deb --root-owner-group --build "$work/deb" "$work/tree/example.deb" >/dev/null
cp "$here/helpers/when-unlocked.sh" "$work/tree/"
tar -C "$work/tree" -czf "$work/package.tar.gz" example.deb when-unlocked.sh

options=
if [ -n "${TARGET:-}" ]; then
    for folder in etc/apt/apt.conf.d etc/apt/preferences.d etc/apt/sources.list.d var/log/apt \
        var/lib/dpkg/updates var/lib/dpkg/info var/lib/dpkg/triggers var/lib/apt/lists/partial \
        var/cache/apt/archives/partial; do
        mkdir -p "$TARGET/$folder"
    done
    : > "$TARGET/var/lib/dpkg/status"
    options="-o Dir=$TARGET -o Dir::State::status=$TARGET/var/lib/dpkg/status"
    options="$options -o Dpkg::Options::=--root=$TARGET -o Dpkg::Options::=--force-not-root"
    options="$options -o Dpkg::Options::=--log=/dev/null"
fi

package=$(deploy-server package build "Example: a Debian package" --os linux --action execute \
    --file "$work/package.tar.gz" --retry-code 75 \
    --command "sh ./when-unlocked.sh apt-get $options install -y ./example.deb" | head -n 1)
deploy-server package activate "$package" >/dev/null
echo "$package"
