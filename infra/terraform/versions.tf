terraform {
  required_version = ">= 1.9"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "5.100.0" # exact, instead of a lock file, whose hashes hold for one platform only
    }
  }
}

locals {
  emulated = var.endpoint != null
}

# With `endpoint` set, every call goes to an emulator of AWS instead: no real credentials, no real account.
provider "aws" {
  region                      = var.region
  access_key                  = local.emulated ? "test" : null
  secret_key                  = local.emulated ? "test" : null
  skip_credentials_validation = local.emulated
  skip_metadata_api_check     = local.emulated
  s3_use_path_style           = local.emulated
  max_retries                 = local.emulated ? 1 : null # the emulator answers 500 to calls it lacks: no retry helps

  dynamic "endpoints" {
    for_each = local.emulated ? [var.endpoint] : []
    content {
      autoscaling = endpoints.value
      budgets     = endpoints.value
      cloudwatch  = endpoints.value
      ec2         = endpoints.value
      ecr         = endpoints.value
      iam         = endpoints.value
      logs        = endpoints.value
      s3          = endpoints.value
      s3control   = endpoints.value
      sns         = endpoints.value
      ssm         = endpoints.value
      sts         = endpoints.value
    }
  }

  default_tags {
    tags = { project = var.name }
  }
}

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
}
