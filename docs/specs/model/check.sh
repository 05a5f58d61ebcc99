#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs every configuration; a canary must be caught, everything else must hold.
# Usage: TLA2TOOLS=/path/to/tla2tools.jar ./check.sh [name-prefix]
: "${TLA2TOOLS:?set TLA2TOOLS to tla2tools.jar}"
cd "$(dirname "$0")" || exit 2
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
bad=0
for cfg in "${1:-}"*.cfg; do
  name=${cfg%.cfg}
  java -XX:+UseParallelGC -cp "$TLA2TOOLS" tlc2.TLC -workers auto -metadir "$work" \
    -noGenerateSpecTE -config "$cfg" "${name%%_*}.tla" > "$work/out" 2>&1
  case $name in
    *_canary_*) want='Invariant .* is violated|Temporal property .* was violated' ;;
    *)          want='No error has been found' ;;
  esac
  if said=$(grep -m1 -E "$want" "$work/out"); then echo "ok    $name: $said"
  else echo "WRONG $name"; bad=1; fi
done
exit $bad
