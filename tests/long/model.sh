#!/usr/bin/env bash
# model.sh - ten million random steps against the model, from a seed that differs each time; the seed is printed.
seed=$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')
echo "seed $seed"
exec "$top_builddir/tests/model/test_map_model" 10000000 "$seed"
