#!/bin/sh
# Which mail hosts of our domains have an address without a name that leads back to it?
# What such a host sends, bounces and replies for instance, is refused by many receivers.
#
#   examples/queries/unready_mail_hosts.sh tonight.ndjson
#
# One line for each: host, address, what iprev says (RFC 8601), the domains it takes mail for.
set -eu
jq -rn '
  [inputs | select(.kind == "domain")
    | .target as $domain | .domain.mx.hosts[] | .name as $host | .addresses[]
    | select(.iprev.result != "pass")
    | {$domain, $host, address, result: .iprev.result}]
  | group_by(.host, .address)[]
  | [.[0].host, .[0].address, .[0].result, (map(.domain) | unique | join(" "))]
  | @tsv' "$@"
