#!/bin/sh
# Run a package manager. Ends with 75 when another one has its lock, so that nothing was done, else
# with the manager's own exit code. Put it into the archive and build the package with
#
#     --command 'sh ./when-unlocked.sh apt-get install -y ./firefox.deb' --retry-code 75
#
# and the agent tries again in 5, 10, 20 ... 60 minutes instead of reporting a failure. LOCK_WAIT is
# how many seconds apt waits for the lock first.
set -u
[ $# -gt 1 ] || { echo "usage: when-unlocked.sh apt-get|dpkg|dnf|zypper|rpm ARGUMENTS" >&2; exit 2; }
said=$(mktemp) || exit 1
trap 'rm -f "$said" "$said.status"' EXIT

# Its words are looked at, so they have to be English; nothing else of the language changes.
[ -z "${LC_ALL:-}" ] || { LANG=$LC_ALL; unset LC_ALL; }
LANGUAGE='' LC_MESSAGES=C DEBIAN_FRONTEND=noninteractive
export LANG LANGUAGE LC_MESSAGES DEBIAN_FRONTEND

manager=$1
shift
case $manager in
apt-get | apt) set -- -o DPkg::Lock::Timeout="${LOCK_WAIT:-60}" "$@" ;;
dnf | yum) set -- --setopt=exit_on_lock=True "$@" ;;
esac
{
    "$manager" "$@" 2>&1
    echo $? > "$said.status"
} | tee "$said"
status=$(cat "$said.status")

# zypper and dnf have an exit code for their own locks. For rpm's, and of the others, only words tell:
# apt-get says 100, dpkg 2 and rpm 1 for every fault, and a look at the lock, before or after, could
# be a moment too early or too late. The last ones are of zypper, which rpm's lock keeps from reading
# what is installed, and of dnf 5.
held="^E: Could not get lock|lock was locked by another process|can't create transaction lock"
held="$held|Failed to cache rpm database|Failed to obtain rpm transaction lock"
case $manager:$status in
*:0) ;;
zypper:7 | dnf:200 | yum:200) status=75 ;;
*) if grep -Eq "$held" "$said"; then status=75; fi ;;
esac
exit "$status"
