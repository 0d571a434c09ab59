# Prefect's server, its Postgres and the worker for the CPU stages: ../compose.yaml with the profile `aws`. The disk contains
# only the history of runs; data and models are in S3.

locals {
  server_ip = cidrhost(cidrsubnet(var.vpc_cidr, 4, 0), 10) # fixed, so that the GPU hosts find a new server
  compose_environment = {
    COMPOSE_PROFILES     = "aws"
    AWS_DEFAULT_REGION   = var.region
    GRAFT_GPU_DEPLOYMENT = "stages/gpu" # infra/gpu.yaml
    GRAFT_GPU_GROUPS     = "${local.gpu_groups.spot},${local.gpu_groups.on-demand}"
    GRAFT_IMAGE          = local.images.cpu
    GRAFT_REGISTRY       = local.registry_url
    PREFECT_BIND         = "0.0.0.0" # the security group decides who can reach it
  }
  read_password = "python3 -c \"import boto3; print(boto3.client('ssm', '${var.region}').get_parameter(Name='${aws_ssm_parameter.prefect_password.name}', WithDecryption=True)['Parameter']['Value'])\""
  server_user_data = templatefile("${path.module}/user-data.yaml.tftpl", {
    packages = ["docker.io", "docker-compose-v2", "amazon-ecr-credential-helper", "python3-boto3"]
    files = {
      "/opt/graft/compose.yaml"           = file("${path.module}/../compose.yaml")
      "/opt/graft/gpu_scaling.py"         = file("${path.module}/../gpu_scaling.py")
      "/opt/graft/start-store.sh"         = file("${path.module}/../start-store.sh") # compose.yaml refers to it; not used here
      "/opt/graft/deployment.env"         = join("", [for key, value in local.compose_environment : "${key}=${value}\n"])
      "/etc/systemd/system/graft.service" = file("${path.module}/../host/graft.service")
      "/root/.docker/config.json"         = jsonencode({ credsStore = "ecr-login" })
    }
    commands = [
      # the first boot generates the database's password on this host and reads Prefect's; later boots keep both
      "test -e /opt/graft/.env || (set -e; umask 077; password=$(${local.read_password}); (cat /opt/graft/deployment.env; echo POSTGRES_PASSWORD=$(openssl rand -hex 24); echo PREFECT_PASSWORD=$password) > /opt/graft/.env)",
      "systemctl daemon-reload",
      "systemctl enable --now graft.service",
    ]
  })
}

# Not in the user data, which every process on a host can read. The hosts' role for Session Manager may read it.
resource "aws_ssm_parameter" "prefect_password" {
  #checkov:skip=CKV_AWS_337:The account's own key for parameters needs no key policy for the hosts' role
  name  = "/${var.name}/prefect-password"
  type  = "SecureString"
  value = var.prefect_password
}

data "aws_ssm_parameter" "server_image" {
  count = var.server_image_id == null ? 1 : 0
  name  = "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id"
}

resource "aws_instance" "server" {
  #checkov:skip=CKV_AWS_126:Metrics every five minutes are enough
  ami                    = coalesce(var.server_image_id, one(nonsensitive(data.aws_ssm_parameter.server_image[*].value)))
  instance_type          = var.server_instance_type
  subnet_id              = aws_subnet.public[local.zones[0]].id
  private_ip             = local.server_ip
  vpc_security_group_ids = [aws_security_group.server.id]
  iam_instance_profile   = aws_iam_instance_profile.this["server"].name
  user_data_base64       = base64gzip(local.server_user_data)
  ebs_optimized          = true

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 2 # the containers are one hop farther
  }
  root_block_device {
    volume_size = 80
    volume_type = "gp3"
    encrypted   = true
  }
  tags = { Name = "${var.name}-server" }
  lifecycle {
    ignore_changes = [ami, user_data_base64] # a newer Ubuntu must not replace the server and its history of runs
  }
}
