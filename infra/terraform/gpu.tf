# At most one GPU host, scaled from zero: a spot host, or an on-demand host if no spot host comes. A group cannot fall back
# from spot to on-demand by itself, so there are two, and ../gpu_scaling.py sets their sizes from Prefect's runs.

locals {
  gpu_kinds = {
    spot      = { max_size = 1, on_demand_percentage = 0 }
    on-demand = { max_size = var.gpu_on_demand_fallback ? 1 : 0, on_demand_percentage = 100 }
  }
  gpu_groups = { for kind in keys(local.gpu_kinds) : kind => "${var.name}-gpu-${kind}" }

  worker_environment = {
    AWS_DEFAULT_REGION               = var.region
    GRAFT_IMAGE                      = local.images.gpu
    GRAFT_LOG_GROUP                  = local.log_group
    GRAFT_REGISTRY                   = local.registry_url
    GRAFT_LOGIN_PARAMETER            = aws_ssm_parameter.prefect_password.name
    GRAFT_SHARED                     = "/home/graft/shared" # in the volume, for the next run on this host
    PREFECT_API_URL                  = "http://${local.server_ip}:4200/api"
    PREFECT_SERVER_ANALYTICS_ENABLED = "false"
    DO_NOT_TRACK                     = "1"
  }
  gpu_user_data = templatefile("${path.module}/user-data.yaml.tftpl", {
    packages = []
    files = {
      "/etc/graft/worker.env"                        = join("", [for key, value in local.worker_environment : "${key}=${value}\n"])
      "/etc/systemd/system/graft-worker.service"     = file("${path.module}/../host/graft-worker.service")
      "/etc/systemd/system/graft-spot-watch.service" = file("${path.module}/../host/graft-spot-watch.service")
      "/usr/local/lib/graft/drain.py"                = file("${path.module}/../host/drain.py")
      "/usr/local/lib/graft/spot_watch.py"           = file("${path.module}/../host/spot_watch.py")
    }
    commands = [
      "systemctl daemon-reload",
      "systemctl enable --now graft-worker.service graft-spot-watch.service",
    ]
  })
}

data "aws_ssm_parameter" "gpu_image" {
  count = var.gpu_image_id == null ? 1 : 0
  name  = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
}

resource "aws_launch_template" "gpu" {
  #checkov:skip=CKV_AWS_126:Metrics every five minutes are enough
  name                   = "${var.name}-gpu"
  image_id               = coalesce(var.gpu_image_id, one(nonsensitive(data.aws_ssm_parameter.gpu_image[*].value)))
  update_default_version = true
  vpc_security_group_ids = [aws_security_group.gpu.id]
  user_data              = base64gzip(local.gpu_user_data)
  ebs_optimized          = true

  iam_instance_profile {
    arn = aws_iam_instance_profile.this["trainer"].arn
  }
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1 # the worker's container uses the host's network: one hop is enough
  }
  block_device_mappings {
    device_name = "/dev/sda1"
    ebs {
      volume_size = var.gpu_volume_gib
      volume_type = "gp3"
      throughput  = 250 # MB a second, because the image alone has several GB
      encrypted   = true
    }
  }
  tag_specifications {
    resource_type = "instance"
    tags          = { Name = "${var.name}-gpu", project = var.name }
  }
  tag_specifications {
    resource_type = "volume"
    tags          = { Name = "${var.name}-gpu", project = var.name }
  }
}

resource "aws_autoscaling_group" "gpu" {
  for_each            = local.gpu_kinds
  name                = local.gpu_groups[each.key]
  min_size            = 0
  max_size            = each.value.max_size
  vpc_zone_identifier = [for subnet in aws_subnet.public : subnet.id]
  enabled_metrics     = ["GroupInServiceInstances"]
  force_delete        = local.emulated

  mixed_instances_policy {
    instances_distribution {
      on_demand_base_capacity                  = 0
      on_demand_percentage_above_base_capacity = each.value.on_demand_percentage
      on_demand_allocation_strategy            = "lowest-price"
      spot_allocation_strategy                 = "price-capacity-optimized"
    }
    launch_template {
      launch_template_specification {
        launch_template_id = aws_launch_template.gpu.id
        version            = aws_launch_template.gpu.latest_version
      }
      dynamic "override" {
        for_each = var.gpu_instance_types
        content {
          instance_type = override.value
        }
      }
    }
  }
  tag {
    key                 = "project"
    value               = var.name
    propagate_at_launch = true
  }
  lifecycle {
    ignore_changes = [desired_capacity] # gpu_scaling.py sets it
  }
}
