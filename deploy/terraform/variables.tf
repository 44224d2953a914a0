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
  description = "How the roles' names begin."
  type        = string
  default     = "seedance"
}

variable "signed_url_ttl" {
  description = "Seconds: SIGNED_URL_TTL. The bucket refuses a URL that was signed longer ago, whatever it says itself."
  type        = number
  default     = 3600

  validation {
    condition     = var.signed_url_ttl >= 1 && var.signed_url_ttl <= 604800
    error_message = "S3 takes signatures of 1 second to 7 days."
  }
}

variable "noncurrent_days" {
  description = "Days for which what was deleted or overwritten can be had back. Without any a video that its caller deletes is gone at once."
  type        = number
  default     = 0
}

variable "trusted" {
  description = "Who may take the roles, as a policy document each in JSON: of the cluster's OIDC provider, or of ec2.amazonaws.com."
  type = object({
    web    = string
    worker = string
  })
}

variable "tags" {
  type    = map(string)
  default = {}
}
