"""The tables of `benchmarks.learning`: one of the sides, and one of each figure beside its target."""

from benchmarks.markdown import print_head, print_row
from benchmarks.stages import are_right
from pipeline.evaluation import intervals, paired

NAMES = {"classic": "classic recipe, float32", "careful": "careful recipe, bfloat16", "graft": "Graft"}
SPEEDUP = {"classic": {2: 5.0, 10: 8.0}, "careful": {2: 2.5, 10: 4.5}}      # epochs -> the least speed-up wanted


def print_sides(measured: dict, epochs: int, views: int) -> None:
    print(f"\n{epochs} + {epochs} epochs, K = {views}; seconds of wall clock\n")
    print_head("side", "total, s", "start, or extract, s", "transfer, s", "choose, s", "finetune, s",
               "val accuracy (95 % Wilson interval)")
    for name, side in measured.items():
        first, transfer, *choose, finetune = (f"{seconds:.1f}" for seconds in side.seconds.values())
        print_row(NAMES[name], f"{side.total:.0f}", first, transfer, *(choose or "-"), finetune, accuracy(side.answers))


def accuracy(answers: dict[str, str]) -> str:
    share = sum(are_right(answers)) / len(answers)
    low, high = intervals.proportion(share, len(answers), 0.95)
    return f"{share:.1%} ({low:.1%} to {high:.1%}), n = {len(answers)}"


def print_figures(measured: dict, epochs: int) -> None:
    """A row per figure; figures of a side that did not run are left out."""
    print()
    print_head("figure", "measured", "target, at least")
    for name in ("classic", "careful"):
        if name in measured:
            _print_against(name, measured[name], measured["graft"], epochs)
    _print_own(measured["graft"])


def _print_against(name: str, other, graft, epochs: int) -> None:
    against = f"Graft against the {NAMES[name]}"
    print_row(f"{against}: all stages", f"{other.total / graft.total:.2f} times as fast", SPEEDUP[name].get(epochs, ""))
    print_row("the same, if every epoch were as fast as the fastest of its stage (without tf.data's waits)",
              ratio(other.without_waits, graft.without_waits, "s", 0), "")
    print_row(f"{against}: val accuracy", difference(graft.answers, other.answers), "not lower")
    for stage, target in (("transfer", 50), ("finetune", "")):
        print_row(f"{against}: epochs of {stage} after the first",
                  ratio(other.epoch(stage), graft.epoch(stage), "s", 3), target)


def _print_own(graft) -> None:
    more = graft.more
    print_row("an epoch of finetune without the cache against one with it, both Graft",
              ratio(more["uncached_epoch"], graft.epoch("finetune"), "s", 2), 2.5)
    for name, network in (("bare", "the frozen part as Keras builds it"), ("own", "the fastest engine")):
        print_row(f"extract, {more['extracted_views']} views in {more['precision']}, against {network}",
                  ratio(more["extract_a_second"], more[f"{name}_a_second"], "images a second", 1), 0.9)


def ratio(one: float, other: float, unit: str, digits: int) -> str:
    return f"{one:.{digits}f} / {other:.{digits}f} {unit} = {one / other:.2f}"


def difference(ours: dict[str, str], theirs: dict[str, str]) -> str:
    """The difference in points, with its paired interval. Both sides answer the same images."""
    pairs = list(zip(are_right(ours), are_right({file: theirs[file] for file in ours})))
    wins, losses = pairs.count((True, False)), pairs.count((False, True))
    low, high = paired.difference_interval(wins, losses, len(pairs), 0.95)
    return f"{100 * (wins - losses) / len(pairs):+.1f} points ({100 * low:+.1f} to {100 * high:+.1f})"
