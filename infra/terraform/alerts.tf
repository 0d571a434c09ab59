# Logs, the budget, and the alarm for a GPU host that stays up.

locals {
  log_group     = "/${var.name}/worker"
  log_group_arn = "arn:${local.partition}:logs:${var.region}:${local.account}:log-group:${local.log_group}"
}

resource "aws_cloudwatch_log_group" "this" {
  #checkov:skip=CKV_AWS_158:CloudWatch encrypts with its own key, and the workers' lines contain no secret
  #checkov:skip=CKV_AWS_338:Prefect and the registry keep the record of a run; these lines serve for debugging
  name              = local.log_group
  retention_in_days = 30
}

resource "aws_sns_topic" "alerts" {
  #checkov:skip=CKV_AWS_26:CloudWatch alarms cannot publish to a topic under the managed key, and the message contains no secret
  name = "${var.name}-alerts"
}

resource "aws_sns_topic_subscription" "mail" {
  topic_arn = aws_sns_topic.alerts.arn
  protocol  = "email"
  endpoint  = var.alert_email
}

resource "aws_cloudwatch_metric_alarm" "gpu_stays_up" {
  for_each            = aws_autoscaling_group.gpu
  alarm_name          = "${each.value.name}-stays-up"
  alarm_description   = "The GPU host has been up for ${var.gpu_alarm_hours} hours. Look for a stuck run: prefect flow-run ls --state RUNNING"
  namespace           = "AWS/AutoScaling"
  metric_name         = "GroupInServiceInstances"
  dimensions          = { AutoScalingGroupName = each.value.name }
  statistic           = "Minimum"
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 1
  period              = 3600
  evaluation_periods  = var.gpu_alarm_hours
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_sns_topic.alerts.arn]
}

resource "aws_budgets_budget" "monthly" {
  count        = var.monthly_budget_usd == null ? 0 : 1
  name         = "${var.name}-monthly"
  budget_type  = "COST"
  limit_amount = tostring(var.monthly_budget_usd)
  limit_unit   = "USD"
  time_unit    = "MONTHLY"

  dynamic "notification" {
    for_each = { ACTUAL = 80, FORECASTED = 100 }
    content {
      notification_type          = notification.key
      comparison_operator        = "GREATER_THAN"
      threshold                  = notification.value
      threshold_type             = "PERCENTAGE"
      subscriber_email_addresses = [var.alert_email]
    }
  }
}
