# The images cpu-TAG (server, CPU stages) and gpu-TAG (GPU stages), built from ../Dockerfile.

resource "aws_ecr_repository" "this" {
  #checkov:skip=CKV_AWS_136:ECR encrypts with its own key (AES256), and the images contain public packages and no secret
  name                 = var.name
  image_tag_mutability = "IMMUTABLE" # a tag is a commit, so its bytes never change
  force_delete         = local.emulated
  image_scanning_configuration {
    scan_on_push = true
  }
}

resource "aws_ecr_lifecycle_policy" "this" {
  repository = aws_ecr_repository.this.name
  policy = jsonencode({ rules = [
    {
      rulePriority = 1
      description  = "layers of pushes that broke off"
      selection    = { tagStatus = "untagged", countType = "sinceImagePushed", countUnit = "days", countNumber = 7 }
      action       = { type = "expire" }
    },
    {
      rulePriority = 2
      description  = "the last ten of each kind; a gpu image has several GB"
      selection    = { tagStatus = "tagged", tagPatternList = ["gpu-*"], countType = "imageCountMoreThan", countNumber = 10 }
      action       = { type = "expire" }
    },
    {
      rulePriority = 3
      description  = "the last ten of each kind"
      selection    = { tagStatus = "tagged", tagPatternList = ["cpu-*"], countType = "imageCountMoreThan", countNumber = 10 }
      action       = { type = "expire" }
    },
  ] })
}

locals {
  repository_arn = "arn:${local.partition}:ecr:${var.region}:${local.account}:repository/${var.name}"
  repository_url = "${local.account}.dkr.ecr.${var.region}.${data.aws_partition.current.dns_suffix}/${var.name}"
  images         = { for kind in ["cpu", "gpu"] : kind => "${local.repository_url}:${kind}-${var.image_tag}" }
}
