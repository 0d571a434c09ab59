# Plans with a mocked provider, without account or network. Policies are compared as values, not as text.

mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
  mock_data "aws_availability_zones" {
    defaults = { names = ["us-east-1a", "us-east-1b", "us-east-1c"] }
  }
  mock_data "aws_ssm_parameter" {
    defaults = { value = "ami-0123456789abcdef0" }
  }
}

variables {
  image_tag        = "0a1b2c3"
  alert_email      = "ops@example.org"
  prefect_password = "0123456789abcdef"
}

run "defaults" {
  command = plan
  assert {
    condition     = toset([for bucket in aws_s3_bucket.this : bucket.bucket]) == toset(["graft-123456789012-dvc", "graft-123456789012-registry"])
    error_message = "Expected two buckets whose names contain the account's number."
  }
  assert {
    condition = alltrue([for use in keys(aws_s3_bucket.this) :
      aws_s3_bucket_versioning.this[use].versioning_configuration[0].status == "Enabled" &&
      one(aws_s3_bucket_server_side_encryption_configuration.this[use].rule).apply_server_side_encryption_by_default[0].sse_algorithm == "AES256" &&
      aws_s3_bucket_public_access_block.this[use].block_public_acls && aws_s3_bucket_public_access_block.this[use].block_public_policy &&
      aws_s3_bucket_public_access_block.this[use].ignore_public_acls && aws_s3_bucket_public_access_block.this[use].restrict_public_buckets
    ])
    error_message = "A bucket lacks versioning, encryption or its block of public access."
  }
  assert {
    condition = alltrue([for use, policy in aws_s3_bucket_policy.this : anytrue([for statement in jsondecode(policy.policy).Statement :
      statement.Effect == "Deny" && statement.Principal == "*" && statement.Action == "s3:*" &&
      try(statement.Condition.Bool["aws:SecureTransport"], "") == "false" &&
      toset(statement.Resource) == toset([local.bucket_arns[use], "${local.bucket_arns[use]}/*"])
    ])])
    error_message = "A bucket can be reached without TLS."
  }
  assert {
    condition = jsondecode(aws_s3_bucket_policy.this["registry"].policy).Statement[1] == {
      Sid       = "CreateOnly"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:PutObject"
      Resource = [
        "arn:aws:s3:::graft-123456789012-registry/registry/registry.json",
        "arn:aws:s3:::graft-123456789012-registry/registry/blobs/*",
        "arn:aws:s3:::graft-123456789012-registry/registry/models/*/versions/*",
        "arn:aws:s3:::graft-123456789012-registry/registry/models/*/log/*",
      ]
      Condition = { Null = { "s3:if-none-match" = "true" }, Bool = { "s3:ObjectCreationOperation" = "true" } }
    }
    error_message = "S3 would let a file, a version or a log entry be overwritten, or refuse the parts of a large upload."
  }
  assert {
    condition     = length(jsondecode(aws_s3_bucket_policy.this["dvc"].policy).Statement) == 1
    error_message = "DVC writes without conditions: its bucket must not demand them."
  }
  assert {
    condition     = alltrue([for rule in aws_s3_bucket_lifecycle_configuration.registry.rule : length(rule.expiration) + length(rule.noncurrent_version_expiration) == 0])
    error_message = "A rule lets published objects expire."
  }
  assert {
    condition = alltrue([for group in aws_autoscaling_group.gpu : group.min_size == 0 && group.max_size == 1
    && length(group.mixed_instances_policy[0].launch_template[0].override) == length(var.gpu_instance_types)])
    error_message = "Each group should have at most one host, of any of the types."
  }
  assert {
    condition = { for kind, group in aws_autoscaling_group.gpu :
      kind => group.mixed_instances_policy[0].instances_distribution[0].on_demand_percentage_above_base_capacity
    } == { spot = 0, on-demand = 100 }
    error_message = "One group is for spot hosts only, the other for on-demand hosts only."
  }
  assert {
    condition     = aws_launch_template.gpu.metadata_options[0].http_tokens == "required" && aws_instance.server.metadata_options[0].http_tokens == "required"
    error_message = "A host answers metadata requests without a token."
  }
  assert {
    condition     = aws_launch_template.gpu.image_id == "ami-0123456789abcdef0" && aws_launch_template.gpu.block_device_mappings[0].ebs[0].encrypted == "true"
    error_message = "The GPU host has another image, or its disk is not encrypted."
  }
  assert {
    # EC2's limit is 16 KB; base64 encodes 3 bytes as 4 characters
    condition     = max(length(aws_launch_template.gpu.user_data), length(aws_instance.server.user_data_base64)) * 3 / 4 < 16384
    error_message = "A host's user data exceeds EC2's limit."
  }
  assert {
    condition     = length(aws_security_group.gpu.ingress) == 0 && alltrue([for rule in aws_security_group.server.ingress : try(length(rule.cidr_blocks), 0) == 0])
    error_message = "A port is open to the internet."
  }
  assert {
    condition     = length(aws_iam_openid_connect_provider.github) == 0 && length(aws_iam_role.ci) == 0
    error_message = "GitHub has access although no repository is set."
  }
  assert {
    condition     = [for statement in jsondecode(aws_iam_role.this["promoter"].assume_role_policy).Statement : statement.Principal.AWS] == [["arn:aws:iam::123456789012:root"]]
    error_message = "Someone outside this account may promote."
  }
  assert {
    condition     = nonsensitive(output.env) == "AWS_DEFAULT_REGION=us-east-1\nGRAFT_REGISTRY=s3://graft-123456789012-registry/registry\nPREFECT_API_AUTH_STRING=graft:0123456789abcdef\nPREFECT_API_URL=http://127.0.0.1:4200/api\n"
    error_message = "The lines of the .env file have changed."
  }
  assert {
    condition     = aws_budgets_budget.monthly[0].limit_amount == "200" && alltrue([for alarm in aws_cloudwatch_metric_alarm.gpu_stays_up : alarm.evaluation_periods == 12])
    error_message = "The budget or the alarm is missing."
  }
}

run "everything_changed" {
  command = plan
  variables {
    gpu_on_demand_fallback = false
    monthly_budget_usd     = null
    trainer_may_promote    = true
    trainer_models         = ["pets", "clothes"]
    github_repository      = "example/graft"
    promoter_principals    = ["arn:aws:iam::123456789012:user/lee"]
  }
  assert {
    condition = alltrue([for role in ["trainer", "server"] : toset(flatten([
      for statement in jsondecode(aws_iam_role_policy.this[role].policy).Statement : statement.Resource if statement.Sid == "AddVersions"
      ])) == toset([for path in ["registry.json", "blobs/*", "models/pets/versions/*", "models/clothes/versions/*"] :
      "arn:aws:s3:::graft-123456789012-registry/registry/${path}"
    ])])
    error_message = "The trainer may add versions of another model."
  }
  assert {
    condition = jsondecode(aws_iam_role.ci[0].assume_role_policy).Statement[0].Condition == { StringEquals = {
      "token.actions.githubusercontent.com:aud" = "sts.amazonaws.com"
      "token.actions.githubusercontent.com:sub" = "repo:example/graft:ref:refs/heads/main"
    } }
    error_message = "Another branch or repository could push images."
  }
  assert {
    condition = [for statement in jsondecode(aws_iam_role.this["promoter"].assume_role_policy).Statement :
      try(statement.Principal.AWS, [statement.Condition.StringEquals["token.actions.githubusercontent.com:sub"]])
    ] == [["arn:aws:iam::123456789012:user/lee"], ["repo:example/graft:environment:production"]]
    error_message = "Someone other than the named person and the environment production could promote."
  }
  assert {
    condition     = aws_autoscaling_group.gpu["on-demand"].max_size == 0 && aws_autoscaling_group.gpu["spot"].max_size == 1
    error_message = "Without the fallback no on-demand host may start."
  }
  assert {
    condition     = length(aws_budgets_budget.monthly) == 0
    error_message = "There is a budget although no amount is set."
  }
  assert {
    condition = alltrue([for role in ["trainer", "server"] :
    contains(jsondecode(aws_iam_role_policy.this[role].policy).Statement[*].Sid, "Promote")])
    error_message = "The trainer may not promote although trainer_may_promote is set."
  }
}

run "misspelt_values_are_refused" {
  command = plan
  variables {
    name               = "Graft"
    vpc_cidr           = "10.42.0.0/24"
    image_tag          = "a tag"
    gpu_instance_types = ["g6.xlarge", "t3.large"]
    gpu_volume_gib     = 50
    gpu_alarm_hours    = 48
    github_repository  = "example/*"
    monthly_budget_usd = 0
    alert_email        = "nobody"
  }
  expect_failures = [
    var.name, var.vpc_cidr, var.image_tag, var.gpu_instance_types, var.gpu_volume_gib, var.gpu_alarm_hours,
    var.github_repository, var.monthly_budget_usd, var.alert_email,
  ]
}
