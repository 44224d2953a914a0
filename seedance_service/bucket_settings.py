"""Read the settings of the bucket and of AWS, as operator_settings.py reads all others."""

from seedance_service import env

MAX_SIGNED_URL_SECONDS = 7 * 86_400  # https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html

S3_BUCKET = env.text("S3_BUCKET", help="Private bucket. `make run` without a bucket starts a local SeaweedFS.")
S3_ENDPOINT_URL = env.http_url("S3_ENDPOINT_URL", help="Address where the service reaches S3. Empty: AWS.")
S3_PUBLIC_URL = env.http_url(
    "S3_PUBLIC_URL",
    S3_ENDPOINT_URL,
    help="Address where callers reach S3: the host in signed URLs.",
    default_label="`S3_ENDPOINT_URL`",
)
S3_ADDRESSING = env.choice(
    "S3_ADDRESSING",
    "auto",
    {"auto": "auto", "path": "path", "virtual": "virtual"},
    help="Where a URL names the bucket: `path` for `https://HOST/BUCKET/…`, `virtual` for `https://BUCKET.HOST/…`. "
    "`auto`: in the host at AWS, OSS, COS and TOS, and in the path at other stores.",
)
S3_REGION = env.text(
    "AWS_REGION",
    env.text(
        "AWS_DEFAULT_REGION",
        help="Region of the bucket where `AWS_REGION` is not set.",
        default_label="that of the profile, or `us-east-1`",
    ),
    help="Region of the bucket.",
    default_label="`AWS_DEFAULT_REGION`",
)
AWS_ACCESS_KEY_ID = env.text(
    "AWS_ACCESS_KEY_ID",
    help="Key for the bucket and SQS. Empty: boto3's own chain, such as `AWS_PROFILE`, a web identity or a role. Where "
    "`S3_ENDPOINT_URL` is another store than AWS, the key is the store's and not used for SQS.",
)
AWS_SECRET_ACCESS_KEY = env.text("AWS_SECRET_ACCESS_KEY", help="Secret of that key.")
AWS_SESSION_TOKEN = env.text("AWS_SESSION_TOKEN", help="Token of that key, if the key is a temporary one.")
S3_ACCESS_KEY_ID = env.text(
    "S3_ACCESS_KEY_ID", help="Key for the bucket alone, where SQS has another. Empty: as for `AWS_ACCESS_KEY_ID`."
)
S3_SECRET_ACCESS_KEY = env.text("S3_SECRET_ACCESS_KEY", help="Secret of that key.")
S3_SESSION_TOKEN = env.text("S3_SESSION_TOKEN", help="Token of that key, if the key is a temporary one.")
SIGNED_URL_TTL = env.integer(
    "SIGNED_URL_TTL",
    3600,
    minimum=1,
    maximum=MAX_SIGNED_URL_SECONDS,
    help="Seconds that a signed URL is valid. S3 allows 7 days. A role's session that ends sooner and "
    "cannot be renewed shortens it.",
)
