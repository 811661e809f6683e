#!/usr/bin/env bash
# linear.sh - forty thousand concurrent histories, each judged: tests/linear.
exec "$PYTHON3" "$top_srcdir/tests/linear/test_linear.py" 10000
