# The queue carries only wake-ups. A lost wake-up costs a wait, so retention is short and there is no dead letter queue.
resource "aws_sqs_queue" "rings" {
  name                       = var.queue
  message_retention_seconds  = 3600
  receive_wait_time_seconds  = 5
  visibility_timeout_seconds = 1800
  sqs_managed_sse_enabled    = true
  tags                       = var.tags
}

data "aws_iam_policy_document" "queue" {
  statement {
    sid       = "OnlyTls"
    effect    = "Deny"
    actions   = ["sqs:*"]
    resources = [aws_sqs_queue.rings.arn]

    principals {
      type        = "*"
      identifiers = ["*"]
    }

    condition {
      test     = "Bool"
      variable = "aws:SecureTransport"
      values   = ["false"]
    }
  }
}

resource "aws_sqs_queue_policy" "rings" {
  queue_url = aws_sqs_queue.rings.id
  policy    = data.aws_iam_policy_document.queue.json
}
