# GitHub Actions use short-lived tokens (OIDC) instead of a stored key. A job on the branch main may push images; a job in the
# environment `production`, for which GitHub can require a person's approval, may promote.

locals {
  github        = var.github_repository != null
  github_issuer = "token.actions.githubusercontent.com"
  github_arn    = "arn:${local.partition}:iam::${local.account}:oidc-provider/${local.github_issuer}"

  # `subject` must match exactly, without wildcards: other branches and repositories are refused.
  assumed_by_github = { for use, subject in { push = "ref:refs/heads/main", promote = "environment:production" } : use => {
    Effect    = "Allow"
    Action    = "sts:AssumeRoleWithWebIdentity"
    Principal = { Federated = local.github_arn }
    Condition = { StringEquals = {
      "${local.github_issuer}:aud" = "sts.amazonaws.com"
      "${local.github_issuer}:sub" = "repo:${coalesce(var.github_repository, "none/none")}:${subject}"
    } }
  } }
  assumed_by_promoting_ci = local.github ? [local.assumed_by_github.promote] : []

  push_images = {
    Sid    = "PushImages"
    Effect = "Allow"
    Action = [
      "ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:CompleteLayerUpload", "ecr:GetDownloadUrlForLayer",
      "ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart",
    ]
    Resource = [local.repository_arn]
  }
}

resource "aws_iam_openid_connect_provider" "github" {
  count          = local.github ? 1 : 0
  url            = "https://${local.github_issuer}"
  client_id_list = ["sts.amazonaws.com"]
}

resource "aws_iam_role" "ci" {
  count              = local.github ? 1 : 0
  name               = "${var.name}-ci"
  assume_role_policy = jsonencode({ Version = "2012-10-17", Statement = [local.assumed_by_github.push] })
}

resource "aws_iam_role_policy" "ci" {
  count = local.github ? 1 : 0
  name  = "ci"
  role  = aws_iam_role.ci[0].name
  policy = jsonencode({ Version = "2012-10-17", Statement = [
    { Sid = "EcrLogin", Effect = "Allow", Action = ["ecr:GetAuthorizationToken"], Resource = ["*"] },
    local.push_images,
  ] })
}
