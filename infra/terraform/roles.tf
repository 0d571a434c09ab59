# Who may do what with the registry:
#   reader    reads
#   trainer   reads, and adds versions: the GPU host and the server, which work unattended
#   promoter  reads, signs versions, and appends to the log, which decides which version is live
# No role may delete (`graft gc` needs an administrator) or overwrite create-only objects (buckets.tf).
# The policies are plain values so that the tests can read them.

locals {
  read_registry = [
    { Sid = "ListRegistry", Effect = "Allow", Action = ["s3:ListBucket", "s3:GetBucketLocation"], Resource = [local.bucket_arns.registry] },
    { Sid = "ReadRegistry", Effect = "Allow", Action = ["s3:GetObject"], Resource = ["${local.registry_arn}/*"] },
  ]
  write_versions = {
    Sid    = "AddVersions"
    Effect = "Allow"
    Action = ["s3:PutObject", "s3:AbortMultipartUpload"]
    Resource = concat([
      "${local.registry_arn}/registry.json", # marks the registry; the first writer tests the store with it
      "${local.registry_arn}/blobs/*",
    ], [for model in var.trainer_models : "${local.registry_arn}/models/${model}/versions/*"])
  }
  write_log = {
    Sid    = "Promote"
    Effect = "Allow"
    Action = ["s3:PutObject"]
    Resource = [
      "${local.registry_arn}/registry.json",
      "${local.registry_arn}/models/*/versions/*/manifest.sig", # for a signature made outside training
      "${local.registry_arn}/models/*/log/*",
      "${local.registry_arn}/models/*/aliases.json",
    ]
  }
  use_dvc = [
    { Sid = "ListDvc", Effect = "Allow", Action = ["s3:ListBucket", "s3:GetBucketLocation"], Resource = [local.bucket_arns.dvc] },
    {
      Sid      = "PushAndPullDvc"
      Effect   = "Allow"
      Action   = ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
      Resource = ["${local.bucket_arns.dvc}/*"]
    },
  ]
  pull_images = [
    { Sid = "EcrLogin", Effect = "Allow", Action = ["ecr:GetAuthorizationToken"], Resource = ["*"] },
    {
      Sid      = "PullImages"
      Effect   = "Allow"
      Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
      Resource = [local.repository_arn]
    },
  ]
  write_worker_log = {
    Sid      = "WriteWorkerLog"
    Effect   = "Allow"
    Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    Resource = ["${local.log_group_arn}:*"]
  }
  scale_gpu = [
    { Sid = "SeeGpuHosts", Effect = "Allow", Action = ["autoscaling:DescribeAutoScalingGroups"], Resource = ["*"] },
    {
      Sid      = "ScaleGpuHosts"
      Effect   = "Allow"
      Action   = ["autoscaling:SetDesiredCapacity"]
      Resource = [for group in local.gpu_groups : "arn:${local.partition}:autoscaling:${var.region}:${local.account}:autoScalingGroup:*:autoScalingGroupName/${group}"]
    },
  ]

  trainer_statements = concat(
    local.read_registry, [local.write_versions], var.trainer_may_promote ? [local.write_log] : [],
    local.use_dvc, local.pull_images, [local.write_worker_log],
  )
  policies = {
    trainer  = jsonencode({ Version = "2012-10-17", Statement = local.trainer_statements })
    server   = jsonencode({ Version = "2012-10-17", Statement = concat(local.trainer_statements, local.scale_gpu) })
    promoter = jsonencode({ Version = "2012-10-17", Statement = concat(local.read_registry, [local.write_log]) })
    reader   = jsonencode({ Version = "2012-10-17", Statement = local.read_registry })
  }

  account_root = "arn:${local.partition}:iam::${local.account}:root"
  assumed_by_hosts = {
    Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "ec2.amazonaws.com" }
  }
  assumed_by = {
    trainer  = [local.assumed_by_hosts]
    server   = [local.assumed_by_hosts]
    promoter = concat([local.assumed_by_promoters], local.assumed_by_promoting_ci)
    reader   = [local.assumed_by_readers]
  }
  assumed_by_promoters = {
    Effect    = "Allow"
    Action    = "sts:AssumeRole"
    Principal = { AWS = length(var.promoter_principals) > 0 ? var.promoter_principals : [local.account_root] }
  }
  assumed_by_readers = {
    Effect    = "Allow"
    Action    = "sts:AssumeRole"
    Principal = { AWS = length(var.reader_principals) > 0 ? var.reader_principals : [local.account_root] }
  }
  roles = toset(["trainer", "server", "promoter", "reader"])
}

resource "aws_iam_role" "this" {
  for_each           = local.roles
  name               = "${var.name}-${each.key}"
  assume_role_policy = jsonencode({ Version = "2012-10-17", Statement = local.assumed_by[each.key] })
}

resource "aws_iam_role_policy" "this" {
  for_each = local.roles
  name     = each.key
  role     = aws_iam_role.this[each.key].name
  policy   = local.policies[each.key]
}

# Session Manager gives a shell on the hosts and access to Prefect's UI, without an SSH key or an open port.
resource "aws_iam_role_policy_attachment" "session_manager" {
  for_each   = toset(["trainer", "server"])
  role       = aws_iam_role.this[each.key].name
  policy_arn = "arn:${local.partition}:iam::aws:policy/AmazonSSMManagedInstanceCore"
}

resource "aws_iam_instance_profile" "this" {
  for_each = toset(["trainer", "server"])
  name     = "${var.name}-${each.key}"
  role     = aws_iam_role.this[each.key].name
}
