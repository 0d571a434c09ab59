from types import SimpleNamespace

import pytest

from pipeline.intake import report


@pytest.mark.parametrize("classes, images, shown", [(3, 100, 40), (100, 20, 15), (1000, 5, 1)])
def test_the_contact_sheets_of_many_classes_are_small(classes, images, shown):
    files = [SimpleNamespace(label=f"{label:04}", path=f"{label:04}/{number}.jpg")
             for label in range(classes) for number in range(images)]
    sheets = report._sheets(SimpleNamespace(fingerprints=files), {"classes": {file.label: images for file in files}})
    assert len(sheets) == classes and {len(paths) for paths in sheets.values()} == {shown}
    assert all(path.startswith(label) for label, paths in sheets.items() for path in paths)
