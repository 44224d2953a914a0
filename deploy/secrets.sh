#!/bin/sh
# Create the missing secrets of compose.yaml in deploy/secrets. None of these files belongs in git.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
random() { od -An -tx1 -N"$1" /dev/urandom | tr -d ' \n'; }
new() { [ -e "secrets/$1" ] || printf '%s' "$2" > "secrets/$1"; }
new secret_key "$(random 32)"
new database_password "$(random 16)"
new database_url "postgres://seedance:$(cat secrets/database_password)@postgres:5432/seedance"
new aws_access_key_id "$(random 10)"
new aws_secret_access_key "$(random 20)"
new s3.json "$(printf '{"identities": [{"name": "service", "credentials": [{"accessKey": "%s", "secretKey": "%s"}], "actions": ["Admin"]}]}' \
    "$(cat secrets/aws_access_key_id)" "$(cat secrets/aws_secret_access_key)")"
# The sandbox's key, until you put Novita's key there.
new novita_api_key sandbox
# No service reads it until ARK_API_KEY_FILE names it: put the key of the model maker's API there first.
new ark_api_key none
# No service reads it until OIDC_CLIENT_SECRET_FILE names it: put the secret of the client at the company's login there first.
new oidc_client_secret none
# Compose mounts these files with their mode, and the processes run as another user.
chmod 0755 secrets
chmod 0444 secrets/*
