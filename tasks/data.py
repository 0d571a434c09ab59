"""The section `data` of params.yaml, for every stage that opens images."""

from pathlib import Path

from pipeline.image_folder import S3Path, image_folder
from tasks.params import PathText, params


@params
class DataParams:
    """Where the images are."""

    images: PathText    # a folder, or s3://bucket/prefix

    @property
    def folder(self) -> Path | S3Path:
        """The image folder."""
        return image_folder(self.images)
