#!/bin/sh
# One night's audit, for cron or systemd. It begins after midnight and ends at NIGHTLY_UNTIL at the
# latest, with the exit code of `auditor scan`. What was not finished, for whatever reason, is gone
# on with: at once if there is time left, else when this is started again that day.
#
# More options of `auditor scan` may follow as arguments. The scan's own settings are in
# AUDITOR_CONFIG; these are this script's:
set -eu

folder=${NIGHTLY_FOLDER:-/var/lib/auditor}          # where results are kept
targets=${NIGHTLY_TARGETS:-/etc/auditor/targets.txt}
until=${NIGHTLY_UNTIL:-07:30}                       # when somebody looks at them
pause=${NIGHTLY_PAUSE:-60}                          # seconds before it is tried again
keep=${NIGHTLY_KEEP:-35}                            # days
export AUDITOR_CONFIG="${AUDITOR_CONFIG-/etc/auditor/auditor.toml}"

night=$(date +%F)
results=$night.ndjson.zst
end=$(date -d "$night $until" +%s)
scan='' stopped=''

stop() {
    stopped=yes
    if [ -n "$scan" ]; then kill -TERM "$scan" 2> /dev/null || :; fi
}
trap stop TERM INT

while :; do
    left=$((end - $(date +%s)))
    if [ "$left" -lt 1 ]; then
        echo "nightly: $folder/$results is not finished, and it is $until" >&2
        code=3
        break
    fi
    auditor scan --resume --deadline "${left}s" -i "$targets" -o "$folder/$results" "$@" &
    scan=$!
    # A signal ends `wait`, and not the scan, which finishes what is under way.
    while :; do
        code=0
        wait "$scan" || code=$?
        kill -0 "$scan" 2> /dev/null || break
    done
    scan=''
    if [ "$code" -ne 3 ] || [ -n "$stopped" ]; then break; fi
    sleep "$pause" &
    wait $! || :
    if [ -n "$stopped" ]; then break; fi
done

if [ "$code" -le 1 ]; then
    cd "$folder"
    # Links change in one step: whoever reads `latest` has the one night or the other.
    before=$(readlink latest.ndjson.zst || :)
    if [ "$before" != "$results" ]; then
        if [ -n "$before" ]; then
            ln -sfn "$before" .link
            mv -fT .link previous.ndjson.zst
        fi
        ln -sfn "$results" .link
        mv -fT .link latest.ndjson.zst
    fi
    find . -maxdepth 1 -type f -name '????-??-??.ndjson.zst*' -mtime "+$keep" -delete
fi
exit "$code"
