"""Great Expectations' Data Docs as one page: its own renderers in a page of ours.

Its own page loads style sheets and scripts from the network, and contains the time and random ids.
"""

from pathlib import Path

from pipeline.intake.expectations import Validation
from pipeline.intake.library import DefaultJinjaPageView, ValidationResultsPageRenderer

VOLATILE = ("batch_markers", "batch_spec", "active_batch_definition")      # the time of the run, and internals


class _Page(DefaultJinjaPageView):
    _template = "data_docs.html.jinja"

    def __init__(self):
        super().__init__(custom_views_directory=str(Path(__file__).parent))

    def generate_html_element_uuid(self, prefix=None) -> str:
        """An id that is not random."""
        return f"{prefix}body"


def render_data_docs(validations: list[Validation]) -> str:
    """Render all validations as one HTML page; the same results give the same bytes."""
    pages = []
    for validation in validations:
        for name in VOLATILE:
            validation.result.meta.pop(name, None)
        pages.append(ValidationResultsPageRenderer().render(validation.result))
    first = pages[0]
    first.sections = [section for page in pages for section in page.sections]
    failed = [outcome for each in validations for outcome in each.outcomes if not outcome.success]
    return _Page().render(first, failed=failed)
