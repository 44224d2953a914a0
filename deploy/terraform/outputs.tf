output "settings" {
  description = "Values for the settings in deploy/env.example."
  value = {
    S3_BUCKET      = aws_s3_bucket.videos.bucket
    AWS_REGION     = data.aws_region.here.id
    BROKER_URL     = "sqs://${data.aws_region.here.id}/${aws_sqs_queue.rings.name}"
    SIGNED_URL_TTL = var.signed_url_ttl
  }
}

output "roles" {
  value = {
    web    = aws_iam_role.web.arn
    worker = aws_iam_role.worker.arn
  }
}

data "aws_region" "here" {}
