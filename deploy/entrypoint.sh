#!/bin/sh
# web, worker: that line of deploy/Procfile. migrate: the schema of this release. Anything else is run as it is.
set -eu
cd "$(dirname "$0")/.."
case "${1:-}" in
web | worker) exec sh -c "$(sed -n "s/^$1: //p" deploy/Procfile)" ;;
migrate) exec python manage.py migrate --noinput ;;
*) exec "$@" ;;
esac
