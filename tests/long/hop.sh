#!/usr/bin/env bash
# hop.sh - ten times as many hops, beside overlapping scans, as the run of `make check`: tests/stress.
exec "$top_builddir/tests/stress/stress_hop" 400000
