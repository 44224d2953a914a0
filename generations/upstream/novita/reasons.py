"""The reasons of Novita's errors, and what each is about: the caller's content, our account, or the upstream itself."""

# The documented errors. Content: the caller's fault, refused for good. Account: ours, and never the caller's fault.
CONTENT_REASONS = {
    "INVALID_REQUEST_BODY",
    "IMAGE_FILE_EXCEEDS_MAX_SIZE",
    "INVALID_IMAGE_FORMAT",
    "IMAGE_EXCEEDS_MAX_RESOLUTION",
    "INVALID_IMAGE_SIZE",
    "IMAGE_NO_FACE_DETECTED",
    "ILLEGAL_PROMPT",
    "ILLEGAL_IMAGE_CONTENT",
}
ACCOUNT_REASONS = {
    "BILLING_BALANCE_NOT_ENOUGH",
    "NOT_ENOUGH_BALANCE",
    "BILLING_AUTH_FAILED",
    "MISSING_API_KEY",
    "INVALID_API_KEY",
    "FAILED_TO_AUTH",
    "ACCESS_DENY",
    "FEATURE_NOT_ALLOWED",
    "API_NOT_ALLOWED",
    "NEED_REAL_NAME_VERIFY",
    "API_NOT_FOUND",  # of a poll; a submit's is about the route of one model
}
ROUTE_GONE = "API_NOT_FOUND"
ACCOUNT_STATUSES, RATE_LIMIT = (401, 402, 403), "RATE_LIMIT_EXCEEDED"
# Steps of the upstream's own, whose names say that the task was not created.
NOT_CREATED_REASONS = {"CREATE_TASK_FAILED", "BILLING_FAILED"}
# A task that failed may have been created and billed: never sent again.
TASK_FAILED = "TASK_FAILED"
