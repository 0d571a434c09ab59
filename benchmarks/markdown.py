"""Tables in Markdown, printed row by row."""


def print_head(*columns: str) -> None:
    """The first column is aligned to the left, the others to the right."""
    print_row(*columns)
    print("|---|" + "---:|" * (len(columns) - 1), flush=True)


def print_row(*cells) -> None:
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)
