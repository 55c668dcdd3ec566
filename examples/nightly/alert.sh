#!/bin/sh
# Tells somebody about a night whose exit code asks for it: alert.sh CODE. As ExecStopPost= of
# systemd it needs no argument. NIGHTLY_ALERT is a command that reads the message; for example
# NIGHTLY_ALERT='mail -s "auditor" postmaster'.
set -eu

folder=${NIGHTLY_FOLDER:-/var/lib/auditor}
code=${1:-${EXIT_STATUS:?the exit code is missing: alert.sh CODE}}
case $code in
    0) exit 0 ;;
    1) what="finished, with findings as severe as --fail-on says" ;;
    2) what="not begun: the settings, the targets or the command line are wrong; see the log" ;;
    3) what="not finished; what there is is whole, and starting it again goes on from there" ;;
    *) what="ended by $code; starting it again goes on from there" ;;
esac

{
    echo "auditor on $(uname -n): $what"
    if [ "$code" = 1 ] && [ -e "$folder/previous.ndjson.zst" ]; then
        echo
        auditor diff "$folder/previous.ndjson.zst" "$folder/latest.ndjson.zst" || :
    elif [ "$code" = 1 ]; then
        echo
        auditor summary "$folder/latest.ndjson.zst" || :
    fi
} 2>&1 | sh -c "${NIGHTLY_ALERT:-logger -t auditor -p user.err}"
