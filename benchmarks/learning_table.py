"""The tables of `benchmarks.learning`: one of the sides, and one of how Graft compares with each of the others."""

from benchmarks.markdown import print_head, print_row
from benchmarks.stages import are_right
from pipeline.evaluation import intervals, paired

NAMES = {"classic": "classic recipe, float32", "careful": "careful recipe, bfloat16",
         "recipe": "Graft with the classic recipe's head and rates", "tuned": "Graft, head and fine-tuning",
         "graft": "Graft, head"}


def print_sides(measured: dict, epochs: int) -> None:
    print(f"\n{epochs} + {epochs} epochs; seconds of wall clock\n")
    print_head("side", "all", "start, or extract", "transfer", "choose", "finetune", "test accuracy (Wilson, 95 %)")
    for name, side in measured.items():
        first, transfer, *choose, finetune = (f"{seconds:.1f}" for seconds in side.seconds.values())
        print_row(NAMES[name], f"{side.total:.0f}", first, transfer, *(choose or "-"), finetune, accuracy(side.answers))


def accuracy(answers: dict[str, str]) -> str:
    share = sum(are_right(answers)) / len(answers)
    low, high = intervals.proportion(share, len(answers), 0.95)
    return f"{share:.1%} ({low:.1%} to {high:.1%}), n = {len(answers)}"


def print_figures(measured: dict) -> None:
    print()
    print_head("Graft against the", "all stages", "without tf.data's waits", "test accuracy")
    graft = measured["graft"]
    for name, other in measured.items():
        if name != "graft":
            print_row(NAMES[name], f"{other.total / graft.total:.2f} times as fast",
                      f"{other.without_waits / graft.without_waits:.2f}", difference(graft.answers, other.answers))


def difference(ours: dict[str, str], theirs: dict[str, str]) -> str:
    """The difference in points, with its paired interval. Both sides answer the same images."""
    pairs = list(zip(are_right(ours), are_right({file: theirs[file] for file in ours})))
    wins, losses = pairs.count((True, False)), pairs.count((False, True))
    low, high = paired.difference_interval(wins, losses, len(pairs), 0.95)
    return f"{100 * (wins - losses) / len(pairs):+.1f} points ({100 * low:+.1f} to {100 * high:+.1f})"
