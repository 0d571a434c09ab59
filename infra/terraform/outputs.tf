output "env" {
  description = "The lines of a .env file: terraform output -raw env > ../../.env"
  sensitive   = true
  value = join("", [for key, value in {
    AWS_DEFAULT_REGION      = var.region
    GRAFT_REGISTRY          = local.registry_url
    PREFECT_API_AUTH_STRING = "graft:${var.prefect_password}"
    PREFECT_API_URL         = "http://127.0.0.1:4200/api" # through the tunnel below
  } : "${key}=${value}\n"])
}

output "dvc_remote" {
  description = "Address of DVC's remote: dvc remote add --default s3 ADDRESS"
  value       = local.dvc_url
}

output "image_cpu" {
  description = "Name of the image for the server and the CPU stages, to build and push"
  value       = local.images.cpu
}

output "image_gpu" {
  description = "Name of the image for the GPU stages, to build and push"
  value       = local.images.gpu
}

output "promoter_role_arn" {
  description = "The role to assume for promoting and rolling back"
  value       = aws_iam_role.this["promoter"].arn
}

output "reader_role_arn" {
  description = "The role to assume for pulling models"
  value       = aws_iam_role.this["reader"].arn
}

output "ci_role_arn" {
  description = "The role for GitHub Actions on the branch main"
  value       = one(aws_iam_role.ci[*].arn)
}

output "gpu_groups" {
  description = "The auto scaling groups of the GPU host"
  value       = local.gpu_groups
}

output "tunnel" {
  description = "Command that forwards Prefect's UI and API to http://127.0.0.1:4200"
  value       = "aws ssm start-session --region ${var.region} --target ${aws_instance.server.id} --document-name AWS-StartPortForwardingSession --parameters portNumber=4200,localPortNumber=4200"
}
