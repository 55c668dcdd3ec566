#!/bin/sh
# What could not be looked up last night, to scan it again: one target a line.
#
#   examples/queries/look_again.sh tonight.ndjson | auditor scan - -o again.ndjson
set -eu
jq -r 'select(.verdict == "unknown") | .target' "$@"
