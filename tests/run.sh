#!/usr/bin/env bash
# `tests/run.sh`: on SQLite. `tests/run.sh abuse`: hostile input. `tests/run.sh story`: the whole way with the real
# processes. `tests/run.sh postgres`: those that ask the database, on PostgreSQL, where one answers (TEST_POSTGRES_URL, or
# the standard local address).
set -euo pipefail
python=.venv/bin/python
case "${1:-}" in
    "") exec "$python" -m pytest -q -n 3 -m "not story and not abuse" ;;
    abuse) exec "$python" -m pytest -q -n 3 -m abuse ;;
    story) exec "$python" -m pytest -q -n 2 --dist loadgroup -m story ;;
esac
url=$("$python" -m tests.support.databases)
[ -n "$url" ] || exit 0
TEST_DATABASE_URL=$url exec "$python" -m pytest -q -n 3 --database-only -m "not story and not one_database"
