#!/bin/sh
# A Dask cluster on this machine, a scan on it, and the cluster gone again.
# Usage: local.sh WORKERS SCAN-ARGUMENT...
set -eu

workers=$1
shift
folder=$(mktemp -d)
file=$folder/scheduler.json

dask scheduler --host 127.0.0.1 --port 0 --no-dashboard --scheduler-file "$file" \
    2> "$folder/scheduler.log" &
started=$!
# There is nothing in them worth saving: what they are told last need not be heard.
trap 'kill -9 $started; wait; rm -r "$folder"' EXIT
while [ "$workers" -gt 0 ]; do
    dask worker --host 127.0.0.1 --scheduler-file "$file" --nthreads 1 --no-nanny --no-dashboard \
        2> "$folder/worker-$workers.log" &
    started="$started $!"
    workers=$((workers - 1))
done

until [ -s "$file" ]; do sleep 0.1; done
address=$(sed -n 's/.*"address": "\([^"]*\)".*/\1/p' "$file")
auditor scan --scheduler "$address" "$@"
