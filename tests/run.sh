#!/usr/bin/env bash
# `tests/run.sh`: every test, on SQLite. `tests/run.sh postgres`: those that ask the database, on PostgreSQL, where one
# answers (TEST_POSTGRES_URL, or the standard local address).
set -euo pipefail
python=.venv/bin/python
if [ "${1:-}" != postgres ]; then
    exec "$python" -m pytest -q -n 3 --dist loadgroup
fi
url=$("$python" -m tests.databases)
[ -n "$url" ] || exit 0
TEST_DATABASE_URL=$url exec "$python" -m pytest -q -n 2 --database-only -m "not story and not one_database"
