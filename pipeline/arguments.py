"""An argument that a library refuses, by its own name: only the caller knows where its user set it."""

from graft.errors import GraftError


class WrongArgument(GraftError):
    """One or more arguments have an unusable value.

    Attributes:
        problems: name of an argument -> what was expected, what was received, and what to do.
    """

    def __init__(self, problems: dict[str, str]):
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return self.worded("")

    def worded(self, where: str, **elsewhere: str) -> str:
        """All problems, a paragraph each, with every argument named as the caller's user knows it.

        Args:
            where: put before the names, such as `params.yaml: extract.backbone.`
            elsewhere: the whole name of an argument that is not set there.
        """
        return "\n       ".join(f"{elsewhere.get(name, where + name)}: {text}" for name, text in self.problems.items())
