variable "bucket" {
  description = "The bucket's name: S3_BUCKET."
  type        = string
}

variable "queue" {
  description = "The queue's name: the last part of BROKER_URL=sqs://REGION/QUEUE."
  type        = string
  default     = "seedance"
}

variable "name" {
  description = "Prefix of the roles' names."
  type        = string
  default     = "seedance"
}

variable "signed_url_ttl" {
  description = "Seconds: SIGNED_URL_TTL. The bucket refuses a URL that was signed longer ago, even if the URL has not expired."
  type        = number
  default     = 3600

  validation {
    condition     = var.signed_url_ttl >= 1 && var.signed_url_ttl <= 604800
    error_message = "S3 takes signatures of 1 second to 7 days."
  }
}

variable "noncurrent_days" {
  description = "Days for which deleted or overwritten objects can be restored. With 0, a video that its caller deletes is lost at once."
  type        = number
  default     = 0
}

variable "trusted" {
  description = "Principals that may assume each role, as a policy document in JSON: the cluster's OIDC provider, or ec2.amazonaws.com."
  type = object({
    web    = string
    worker = string
  })
}

variable "tags" {
  type    = map(string)
  default = {}
}
