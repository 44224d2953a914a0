# Two roles. The role that faces callers cannot write a video: it stores input images, signs URLs, and deletes what callers
# delete. The worker writes videos.

data "aws_iam_policy_document" "web" {
  statement {
    sid       = "SignAndRead"
    actions   = ["s3:GetObject"]
    resources = ["${aws_s3_bucket.videos.arn}/videos/*", "${aws_s3_bucket.videos.arn}/inputs/*"]
  }

  statement {
    sid       = "KeepPictures"
    actions   = ["s3:PutObject"]
    resources = ["${aws_s3_bucket.videos.arn}/inputs/*"]
  }

  statement {
    sid       = "DeleteWhatIsDeleted"
    actions   = ["s3:DeleteObject"]
    resources = ["${aws_s3_bucket.videos.arn}/videos/*", "${aws_s3_bucket.videos.arn}/inputs/*"]
  }

  # ListBucket also makes a missing object a 404 instead of a 403.
  statement {
    sid       = "List"
    actions   = ["s3:ListBucket"]
    resources = [aws_s3_bucket.videos.arn]
  }

  statement {
    sid       = "Ring"
    actions   = ["sqs:GetQueueUrl", "sqs:GetQueueAttributes", "sqs:SendMessage"]
    resources = [aws_sqs_queue.rings.arn]
  }
}

data "aws_iam_policy_document" "worker" {
  statement {
    sid       = "ReadWriteAndDelete"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"]
    resources = ["${aws_s3_bucket.videos.arn}/videos/*", "${aws_s3_bucket.videos.arn}/inputs/*", "${aws_s3_bucket.videos.arn}/doctor/*"]
  }

  statement {
    sid       = "AbortUploads"
    actions   = ["s3:AbortMultipartUpload"]
    resources = ["${aws_s3_bucket.videos.arn}/*"]
  }

  statement {
    sid       = "List"
    actions   = ["s3:ListBucket", "s3:ListBucketMultipartUploads"]
    resources = [aws_s3_bucket.videos.arn]
  }

  statement {
    sid = "RingAndHear"
    actions = [
      "sqs:GetQueueUrl",
      "sqs:GetQueueAttributes",
      "sqs:SendMessage",
      "sqs:ReceiveMessage",
      "sqs:DeleteMessage",
    ]
    resources = [aws_sqs_queue.rings.arn]
  }
}

resource "aws_iam_role" "web" {
  name               = "${var.name}-web"
  assume_role_policy = var.trusted.web
  # A signed URL expires with the session that signed it.
  max_session_duration = 43200
  tags                 = var.tags
}

resource "aws_iam_role" "worker" {
  name               = "${var.name}-worker"
  assume_role_policy = var.trusted.worker
  tags               = var.tags
}

resource "aws_iam_role_policy" "web" {
  name   = "service"
  role   = aws_iam_role.web.id
  policy = data.aws_iam_policy_document.web.json
}

resource "aws_iam_role_policy" "worker" {
  name   = "service"
  role   = aws_iam_role.worker.id
  policy = data.aws_iam_policy_document.worker.json
}
