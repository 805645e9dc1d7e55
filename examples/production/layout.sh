#!/bin/sh
# Gives one machine a second server beside the first, on the same database and the same packages.
#
#   sh layout.sh /var/lib/deploy-server /srv/tranche /var/lib/deploy-server-2
#
# The first folder is initialised already, with PostgreSQL. Packages move to the second one, where
# nginx reads them. The third one becomes a data directory that shares keys, certificates and
# packages with the first and has locks and logs of its own. It may be done again.
set -eu
umask 077

[ $# = 3 ] || { echo "usage: layout.sh DATA SHARED SECOND" >&2; exit 2; }
data=$1 shared=$2 second=$3
[ -f "$data/server.toml" ] || { echo "layout: $data is not initialised: run deploy-server init" >&2; exit 1; }
grep -q '^database_url *= *"postgresql' "$data/server.toml" || {
    echo "layout: two servers need PostgreSQL: database_url in $data/server.toml names none" >&2
    exit 1
}
owner=$(stat -c %u:%g "$data")

mkdir -p "$shared" "$second"
chmod 755 "$shared"
for name in download staging uploads; do
    if [ ! -L "$data/$name" ]; then
        # On the same disk this is a rename; published packages are never half there.
        mv "$data/$name" "$shared/$name"
        ln -s "$shared/$name" "$data/$name"
    fi
    ln -sfn "$shared/$name" "$second/$name"
done
for name in server.toml secret_key certs; do
    ln -sfn "$data/$name" "$second/$name"
done
mkdir -p "$second/run"
chown "$owner" "$shared" "$second" "$second/run"
