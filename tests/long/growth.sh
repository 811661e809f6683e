#!/usr/bin/env bash
# growth.sh - a table grows from 10 thousand keys to 2 million and shrinks back during one scan: tests/stress.
exec "$top_builddir/tests/stress/stress_growth" 2000000
