"""Great Expectations' Data Docs as one page: its own renderers in a page of ours.

Its own page loads style sheets and scripts from the network, and contains the time and random ids. It heads each
expectation by a column, such as `is_doubtful`; this one by the expectation's name, such as `near-duplicates`.
"""

import html
from pathlib import Path

from graft.pages import frame
from pipeline.intake.expectations import Validation
from pipeline.intake.library import DefaultJinjaPageView, ValidationResultsPageRenderer

TITLE = "Great Expectations of the data"
VOLATILE = ("batch_markers", "batch_spec", "active_batch_definition")      # the time of the run, and internals
OVERVIEW = "Overview"       # a section of counts, which the page's own heading of a table has


class _Page(DefaultJinjaPageView):
    _template = "data_docs.html"

    def __init__(self):
        super().__init__(custom_views_directory=str(Path(__file__).parent))

    def generate_html_element_uuid(self, prefix=None) -> str:
        """An id that is not random."""
        return f"{prefix}body"


def render_data_docs(validations: list[Validation]) -> str:
    """Render all validations as one HTML page; the same results give the same bytes."""
    pages = [_rendered(each) for each in validations]
    tables = [{"name": each.result.suite_name, "sections": len(page.sections), "all": len(each.outcomes),
               "met": sum(outcome.success for outcome in each.outcomes)} for each, page in zip(validations, pages)]
    whole, failed = pages[0], [each for one in validations for each in one.outcomes if not each.success]
    whole.sections = [section for page in pages for section in page.sections]
    return frame(TITLE, _Page().render(whole, failed=failed, tables=tables, title=TITLE))


def _rendered(validation: Validation):
    """Great Expectations' page without what changes from run to run, each section headed by its expectation's name."""
    for name in VOLATILE:
        validation.result.meta.pop(name, None)
    page = ValidationResultsPageRenderer().render(validation.result)
    page.sections = [section for section in page.sections if section.section_name != OVERVIEW]
    names = {each.expectation.kwargs.get("column", ""): each.expectation.name for each in validation.outcomes}
    for section in page.sections:
        name = names.get(section.section_name, names.get("", section.section_name))
        section.content_blocks[0].header.string_template["template"] = html.escape(name)
    return page
