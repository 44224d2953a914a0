#!/usr/bin/env bash
# Every test on SQLite; beside it, since the story mostly waits, those that ask the database on PostgreSQL too, where one
# answers (TEST_POSTGRES_URL, or the standard local address).
set -uo pipefail
python=.venv/bin/python
url=$("$python" -m tests.databases) || exit 1
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if [ -n "$url" ]; then
    TEST_DATABASE_URL=$url "$python" -m pytest -q --database-only -m "not story and not one_database" >"$log" 2>&1 &
fi
"$python" -m pytest -q -n 3 --dist loadgroup
code=$?
if [ -n "$url" ]; then
    wait $! || code=1
    echo "On PostgreSQL:"
    cat "$log"
fi
exit "$code"
