"""Write params.schema.json, by which editors complete and check params.yaml: `python -m tasks.schema`.

It says what the dataclasses of the sections say; a test fails if it is not current.
"""

from importlib import import_module
from pathlib import Path

from pydantic import TypeAdapter

from graft.errors import reported
from tasks.params import params, read_sections

SCHEMA = Path("params.schema.json")


def dataclass_of(section: str) -> type:
    """The dataclass of a section: `TrainParams` in tasks/train.py for `train`."""
    return getattr(import_module(f"tasks.{section}"), f"{section.capitalize()}Params")


def schema() -> dict:
    """The JSON schema of all sections that params.yaml has."""
    sections = {name: dataclass_of(name) for name in read_sections()}
    content = TypeAdapter(params(type("Params", (), {"__annotations__": sections}))).json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **content, "title": "params.yaml of Graft"}


def main() -> None:
    """Write the schema, and print where it is."""
    from tasks import artifacts

    artifacts.write_json(SCHEMA, schema())
    print(SCHEMA)


if __name__ == "__main__":
    with reported():
        main()
