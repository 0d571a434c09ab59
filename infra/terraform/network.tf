# Two public subnets without inbound access: hosts can reach git, packages and AWS, and nothing on the internet can reach
# them. Private subnets would need NAT gateways at about 32 USD a month each, without more protection.

data "aws_availability_zones" "available" {
  #checkov:skip=CKV_AWS_394:The first two by name: new zones of AWS sort after them
  state = "available"
}

locals {
  zones = slice(data.aws_availability_zones.available.names, 0, 2)
}

resource "aws_vpc" "this" {
  #checkov:skip=CKV2_AWS_11:Flow logs are not worth their cost here: no port is open to the internet
  cidr_block           = var.vpc_cidr
  enable_dns_hostnames = true
  tags                 = { Name = var.name }
}

# AWS creates this group in every VPC. Nothing uses it, so it has no rules.
resource "aws_default_security_group" "this" {
  vpc_id = aws_vpc.this.id
}

resource "aws_subnet" "public" {
  #checkov:skip=CKV_AWS_130:A public address gives outbound access without a NAT gateway; the security groups block inbound access
  for_each                = { for index, zone in local.zones : zone => index }
  vpc_id                  = aws_vpc.this.id
  availability_zone       = each.key
  cidr_block              = cidrsubnet(var.vpc_cidr, 4, each.value)
  map_public_ip_on_launch = true
  tags                    = { Name = "${var.name}-${each.key}" }
}

resource "aws_internet_gateway" "this" {
  vpc_id = aws_vpc.this.id
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.this.id
  route {
    cidr_block = "0.0.0.0/0"
    gateway_id = aws_internet_gateway.this.id
  }
}

resource "aws_route_table_association" "public" {
  for_each       = aws_subnet.public
  subnet_id      = each.value.id
  route_table_id = aws_route_table.public.id
}

# Traffic to S3 (images, activations, models) stays inside AWS's network and is free.
resource "aws_vpc_endpoint" "s3" {
  vpc_id          = aws_vpc.this.id
  service_name    = "com.amazonaws.${var.region}.s3"
  route_table_ids = [aws_route_table.public.id]
}

resource "aws_security_group" "gpu" {
  #checkov:skip=CKV_AWS_382:The host fetches images, git repositories and packages from the internet
  name        = "${var.name}-gpu"
  description = "GPU hosts: nothing in, everything out"
  vpc_id      = aws_vpc.this.id
  ingress     = [] # explicit, so that Terraform removes a rule added by hand
  egress {
    description = "git, ECR, S3, packages"
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_security_group" "server" {
  #checkov:skip=CKV_AWS_382:The host fetches images, git repositories and packages from the internet
  name        = "${var.name}-server"
  description = "Prefect server: its API for the GPU hosts only, everything out"
  vpc_id      = aws_vpc.this.id
  ingress {
    description     = "Prefect API"
    from_port       = 4200
    to_port         = 4200
    protocol        = "tcp"
    security_groups = [aws_security_group.gpu.id]
  }
  egress {
    description = "git, ECR, S3, packages"
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    cidr_blocks = ["0.0.0.0/0"]
  }
}
