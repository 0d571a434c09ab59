variable "name" {
  description = "First part of every resource's name"
  type        = string
  default     = "graft"
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,20}$", var.name))
    error_message = "name: 2 to 21 lower-case letters, digits and hyphens, a letter first. It begins the names of buckets."
  }
}

variable "region" {
  description = "AWS region. It must offer the types in gpu_instance_types"
  type        = string
  default     = "us-east-1"
}

variable "endpoint" {
  description = "Address of an AWS emulator, such as http://127.0.0.1:5000. Null for AWS itself"
  type        = string
  default     = null
}

variable "vpc_cidr" {
  description = "Address range of the VPC; /20 or larger"
  type        = string
  default     = "10.42.0.0/16"
  validation {
    condition     = can(cidrsubnet(var.vpc_cidr, 4, 15)) && try(tonumber(split("/", var.vpc_cidr)[1]), 32) <= 20
    error_message = "vpc_cidr: a range such as 10.42.0.0/16, /20 or larger."
  }
}

variable "image_tag" {
  description = "The hosts run the images cpu-TAG and gpu-TAG. Use the commit from which they were built"
  type        = string
  validation {
    condition     = can(regex("^[A-Za-z0-9_][A-Za-z0-9_.-]{0,120}$", var.image_tag))
    error_message = "image_tag: letters, digits, _, . and -, such as the output of git rev-parse --short HEAD."
  }
}

variable "gpu_instance_types" {
  description = "Acceptable types of the GPU host. With more types, a spot host is available more often"
  type        = list(string)
  default     = ["g6.xlarge", "g5.xlarge", "g6.2xlarge", "g5.2xlarge"]
  validation {
    condition     = length(var.gpu_instance_types) > 0 && alltrue([for type in var.gpu_instance_types : can(regex("^g[56]\\.", type))])
    error_message = "gpu_instance_types: one or more of the families g5 (A10G) and g6 (L4), such as g6.xlarge."
  }
}

variable "gpu_on_demand_fallback" {
  description = "Start an on-demand host if no spot host comes for a waiting run"
  type        = bool
  default     = true
}

variable "gpu_image_id" {
  description = "AMI of the GPU host. Null for the newest AWS Deep Learning Base AMI, which has NVIDIA's driver and Docker"
  type        = string
  default     = null
}

variable "gpu_volume_gib" {
  description = "Disk of the GPU host, in GiB: system, image, DVC cache and activations"
  type        = number
  default     = 200
  validation {
    condition     = var.gpu_volume_gib >= 100 && var.gpu_volume_gib <= 2000
    error_message = "gpu_volume_gib: 100 to 2000."
  }
}

variable "gpu_alarm_hours" {
  description = "Send an alarm when a GPU host has been up for this many consecutive hours"
  type        = number
  default     = 12
  validation {
    condition     = var.gpu_alarm_hours >= 1 && var.gpu_alarm_hours <= 24 && floor(var.gpu_alarm_hours) == var.gpu_alarm_hours
    error_message = "gpu_alarm_hours: a whole number from 1 to 24."
  }
}

variable "server_instance_type" {
  description = "Instance type of the host for Prefect's server, its database and the worker for the CPU stages"
  type        = string
  default     = "t3.large"
}

variable "server_image_id" {
  description = "AMI of the server. Null for the newest Ubuntu 24.04"
  type        = string
  default     = null
}

variable "prefect_password" {
  description = "Password of the user `graft` of Prefect's page and API, which the hosts know, too: openssl rand -hex 24"
  type        = string
  sensitive   = true
  validation {
    condition     = can(regex("^[A-Za-z0-9]{16,}$", var.prefect_password))
    error_message = "prefect_password: 16 or more letters and digits."
  }
}

variable "trainer_models" {
  description = "Names of the models whose versions the trainer and the server may add. The default is every name"
  type        = list(string)
  default     = ["*"]
}

variable "trainer_may_promote" {
  description = "Let the training flow promote a version that passes the gate. False: only the promoter's role may"
  type        = bool
  default     = false
}

variable "promoter_principals" {
  description = "ARNs that may assume the promoter's role. Empty: whoever IAM in this account allows"
  type        = list(string)
  default     = []
}

variable "reader_principals" {
  description = "ARNs that may assume the reader's role, in this or other accounts. Empty: whoever IAM in this account allows"
  type        = list(string)
  default     = []
}

variable "github_repository" {
  description = "OWNER/NAME whose GitHub Actions may push images (branch main) and promote (environment production). Null for none"
  type        = string
  default     = null
  validation {
    condition     = var.github_repository == null || can(regex("^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$", var.github_repository))
    error_message = "github_repository: OWNER/NAME, without wildcards, or null."
  }
}

variable "monthly_budget_usd" {
  description = "AWS sends a mail at 80 % of this budget and when the forecast exceeds it. Null for no budget"
  type        = number
  default     = 200
  validation {
    condition     = var.monthly_budget_usd == null || try(var.monthly_budget_usd > 0, false)
    error_message = "monthly_budget_usd: above 0, or null."
  }
}

variable "alert_email" {
  description = "Recipient of mails about the budget and about a GPU host that stays up"
  type        = string
  validation {
    condition     = can(regex("^[^@[:space:]]+@[^@[:space:]]+[.][^@[:space:]]+$", var.alert_email))
    error_message = "alert_email: one mail address."
  }
}
