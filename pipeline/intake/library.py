"""Great Expectations without telemetry, databases, clouds and charts: they take a third of the time of its import."""

import logging
import os
from types import ModuleType

from pipeline.imports import hidden

os.environ["GX_ANALYTICS_ENABLED"] = "false"        # read by the import
with hidden("boto3", "botocore", "sqlalchemy", altair=ModuleType("altair")):
    import great_expectations as gx

logging.getLogger("great_expectations").setLevel(logging.ERROR)
ValidationResultsPageRenderer = gx.render.renderer.ValidationResultsPageRenderer
DefaultJinjaPageView = gx.render.view.DefaultJinjaPageView
