# Two buckets: `dvc` for data and the outputs of stages, `registry` for published models.

locals {
  buckets         = { for use in ["dvc", "registry"] : use => "${var.name}-${local.account}-${use}" }
  bucket_arns     = { for use, bucket in local.buckets : use => "arn:${local.partition}:s3:::${bucket}" }
  registry_prefix = "registry"
  registry_url    = "s3://${local.buckets.registry}/${local.registry_prefix}"
  registry_arn    = "${local.bucket_arns.registry}/${local.registry_prefix}"
  dvc_url         = "s3://${local.buckets.dvc}/dvc"

  # Objects that are written once: all but aliases.json, which caches the log.
  create_only_arns = [
    "${local.registry_arn}/registry.json",
    "${local.registry_arn}/blobs/*",
    "${local.registry_arn}/models/*/versions/*",
    "${local.registry_arn}/models/*/log/*",
  ]

  tls_only = { for use, arn in local.bucket_arns : use => {
    Sid       = "TlsOnly"
    Effect    = "Deny"
    Principal = "*"
    Action    = "s3:*"
    Resource  = [arn, "${arn}/*"]
    Condition = { Bool = { "aws:SecureTransport" = "false" } }
  } }

  # S3 itself refuses a write without `If-None-Match`, whoever sends it. The second condition exempts the steps of a
  # multipart upload that cannot have the header, but not the last one, which creates the object.
  # https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html
  create_only = {
    Sid       = "CreateOnly"
    Effect    = "Deny"
    Principal = "*"
    Action    = "s3:PutObject"
    Resource  = local.create_only_arns
    Condition = {
      Null = { "s3:if-none-match" = "true" }
      Bool = { "s3:ObjectCreationOperation" = "true" }
    }
  }

  bucket_policies = {
    dvc      = [local.tls_only.dvc]
    registry = [local.tls_only.registry, local.create_only]
  }
}

resource "aws_s3_bucket" "this" {
  #checkov:skip=CKV_AWS_18:The registry's own hash-chained log records who published and promoted what
  #checkov:skip=CKV_AWS_144:One region: versioning protects against mistakes, and DVC can rebuild the outputs
  #checkov:skip=CKV_AWS_145:S3's own keys (AES256) need no key policy for readers in other accounts
  #checkov:skip=CKV2_AWS_62:Nothing consumes events of these buckets
  #checkov:skip=CKV2_AWS_61:Both have one below, which the check cannot see through for_each
  for_each = local.buckets
  bucket   = each.value
}

resource "aws_s3_bucket_versioning" "this" {
  for_each = aws_s3_bucket.this
  bucket   = each.value.id
  versioning_configuration {
    status = "Enabled"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "this" {
  for_each = aws_s3_bucket.this
  bucket   = each.value.id
  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_public_access_block" "this" {
  for_each                = aws_s3_bucket.this
  bucket                  = each.value.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "this" {
  for_each = aws_s3_bucket.this
  bucket   = each.value.id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_policy" "this" {
  for_each   = aws_s3_bucket.this
  bucket     = each.value.id
  policy     = jsonencode({ Version = "2012-10-17", Statement = local.bucket_policies[each.key] })
  depends_on = [aws_s3_bucket_public_access_block.this] # S3 refuses two simultaneous changes to a bucket's access
}

resource "aws_s3_bucket_lifecycle_configuration" "dvc" {
  bucket = aws_s3_bucket.this["dvc"].id
  rule {
    id     = "unfinished-uploads"
    status = "Enabled"
    filter {}
    abort_incomplete_multipart_upload {
      days_after_initiation = 3
    }
  }
  rule {
    id     = "after-dvc-gc"
    status = "Enabled"
    filter {}
    noncurrent_version_expiration {
      noncurrent_days = 30
    }
  }
  rule {
    id     = "checkpoints-of-runs-that-never-went-on"
    status = "Enabled"
    filter {
      prefix = "dvc/checkpoints/"
    }
    expiration {
      days = 14
    }
  }
  rule {
    id     = "rarely-read"
    status = "Enabled"
    filter {}
    transition {
      days          = 30
      storage_class = "INTELLIGENT_TIERING"
    }
  }
  depends_on = [aws_s3_bucket_versioning.this]
}

# Published objects never expire.
resource "aws_s3_bucket_lifecycle_configuration" "registry" {
  bucket = aws_s3_bucket.this["registry"].id
  rule {
    id     = "unfinished-uploads"
    status = "Enabled"
    filter {}
    abort_incomplete_multipart_upload {
      days_after_initiation = 3
    }
  }
  depends_on = [aws_s3_bucket_versioning.this]
}
