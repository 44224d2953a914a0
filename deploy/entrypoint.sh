#!/bin/sh
# Run web or worker as in deploy/Procfile, or migrate to the schema of this release. Run any other command as given.
set -eu
cd "$(dirname "$0")/.."
case "${1:-}" in
web | worker) exec sh -c "$(sed -n "s/^$1: //p" deploy/Procfile)" ;;
migrate) exec python manage.py migrate --noinput ;;
*) exec "$@" ;;
esac
