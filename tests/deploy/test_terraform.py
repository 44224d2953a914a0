"""Test the Terraform files: a private bucket, and roles with few rights."""

import json
from typing import Any

import hcl2

from tests.deploy.tools import DEPLOY, run
from tests.support.programs import find_program


def terraform() -> list[dict[str, Any]]:
    documents = []
    for path in sorted((DEPLOY / "terraform").glob("*.tf")):
        with path.open() as file:
            documents.append(json.loads(json.dumps(hcl2.load(file)).replace('\\"', "")))
    return documents


def terraform_block(kind: str, of: str, name: str) -> dict[str, Any]:
    """Return the one block of a kind, such as resource, of a type and a name."""
    [block] = (item[of][name] for part in terraform() for item in part.get(kind, []) if of in item and name in item[of])
    return dict(block)


def test_terraform_is_formatted() -> None:
    run(find_program("terraform"), "fmt", "-check", "-diff", str(DEPLOY / "terraform"))


def test_the_bucket_is_private_and_refuses_old_signatures_and_plain_http() -> None:
    block = terraform_block("resource", "aws_s3_bucket_public_access_block", "videos")
    assert [block[name] for name in block if name.startswith(("block_", "ignore_", "restrict_"))] == [True] * 4
    statements = {
        statement["sid"]: statement
        for statement in terraform_block("data", "aws_iam_policy_document", "bucket")["statement"]
    }
    assert {statement["effect"] for statement in statements.values()} == {"Deny"}
    conditions = {
        sid: {(condition["test"], condition["variable"]): condition["values"] for condition in statement["condition"]}
        for sid, statement in statements.items()
    }
    assert conditions["OnlyTls"] == {("Bool", "aws:SecureTransport"): ["false"]}
    assert conditions["OnlyTls12OrNewer"] == {("NumericLessThan", "s3:TlsVersion"): ["1.2"]}
    [age] = conditions["NoOldSignature"]["NumericGreaterThan", "s3:signatureAge"]
    assert "var.signed_url_ttl * 1000" in age
    [rule, _] = terraform_block("resource", "aws_s3_bucket_lifecycle_configuration", "videos")["rule"]
    assert rule["abort_incomplete_multipart_upload"][0]["days_after_initiation"] == 7


def test_the_role_of_web_cannot_write_videos() -> None:
    web = terraform_block("data", "aws_iam_policy_document", "web")["statement"]
    puts = [resource for item in web if "s3:PutObject" in item["actions"] for resource in item["resources"]]
    assert len(puts) == 1
    assert puts[0].endswith("/inputs/*")
    worker = terraform_block("data", "aws_iam_policy_document", "worker")["statement"]
    assert {action for statement in worker for action in statement["actions"]} >= {
        "s3:GetObject",
        "s3:PutObject",
        "s3:DeleteObject",
        "s3:ListBucket",
        "s3:ListBucketMultipartUploads",
        "s3:AbortMultipartUpload",
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:SendMessage",
    }
