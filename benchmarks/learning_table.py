"""The tables of `benchmarks.learning`: one of the sides, one of each figure beside what it must be at least."""

from benchmarks.stages import share_right
from pipeline.evaluation import intervals, paired

NAMES = {"seed": "seed recipe, float32", "careful": "careful recipe, bfloat16", "graft": "Graft"}
FASTER = {"seed": {2: 5.0, 10: 8.0}, "careful": {2: 2.5, 10: 4.5}}      # epochs -> how many times faster, at least


def sides(measured: dict, epochs: int, views: int) -> str:
    lines = [f"\n{epochs} + {epochs} epochs, K = {views}; seconds of wall clock\n",
             "| side | total, s | start, or extract, s | transfer, s | finetune, s | val accuracy (95 % Wilson) |",
             "|---|---:|---:|---:|---:|---|"]
    for name, side in measured.items():
        before = side.seconds.get("start", side.seconds.get("extract"))
        lines.append(f"| {NAMES[name]} | {side.total:.0f} | {before:.1f} | {side.seconds['transfer']:.1f} | "
                     f"{side.seconds['finetune']:.1f} | {accuracy(side.answers)} |")
    return "\n".join(lines)


def accuracy(answers: dict[str, str]) -> str:
    share = share_right(answers)
    low, high = intervals.proportion(share, len(answers), 0.95)
    return f"{share:.1%} ({low:.1%} to {high:.1%}), n = {len(answers)}"


def figures(measured: dict, epochs: int) -> str:
    """A row per figure; one that needs a side that was not run is left out."""
    graft = measured["graft"]
    lines = ["", "| figure | measured | at least |", "|---|---:|---:|"]
    for name in [name for name in ("seed", "careful") if name in measured]:
        other = measured[name]
        against, ratio = f"against the {NAMES[name]}", other.total / graft.total
        lines.append(row(f"all stages {against}", f"{ratio:.2f} times faster", FASTER[name].get(epochs)))
        ratio = other.without_waits / graft.without_waits
        lines.append(row("the same, every epoch of a stage as fast as its fastest: tf.data keeps the recipes waiting",
                         f"{other.without_waits:.0f} / {graft.without_waits:.0f} s = {ratio:.2f}", None))
        lines.append(row(f"val accuracy {against}", difference(graft.answers, other.answers), "not lower"))
        for stage, least in (("transfer", 50), ("finetune", None)):
            ratio = other.epoch(stage) / graft.epoch(stage)
            lines.append(row(f"second and later {stage} epochs {against}",
                             f"{other.epoch(stage):.2f} / {graft.epoch(stage):.3f} s = {ratio:.1f}", least))
    more = graft.more
    lines.append(row("an epoch of finetune on the cache against one without, both Graft",
                     f"{more['uncached_epoch']:.2f} / {graft.epoch('finetune'):.2f} s = "
                     f"{more['uncached_epoch'] / graft.epoch('finetune'):.2f}", 2.5))
    for name, network in (("bare", "the frozen part as Keras builds it"), ("own", "the network that extract runs")):
        ours, theirs = more["extract_a_second"], more[f"{name}_a_second"]
        lines.append(row(f"extract, {more['extracted_views']} views in {more['precision']}, against {network}",
                         f"{ours:.1f} / {theirs:.1f} images a second = {ours / theirs:.2f}", 0.9))
    lines.append(row("BatchNormalization statistics changed by finetune",
                     f"{more['statistics_changed']} of {more['statistics']} (of the other weights "
                     f"{more['others_changed']} of {more['others']}; kept: {more['kept']})", "0, bit-identical"))
    return "\n".join(lines)


def row(name: str, measured: str, wanted) -> str:
    return f"| {name} | {measured} | {'' if wanted is None else wanted} |"


def difference(ours: dict[str, str], theirs: dict[str, str]) -> str:
    """In points, with its paired interval."""
    rights = [(ours[file] == file.split("/")[0], theirs[file] == file.split("/")[0]) for file in ours]
    wins, losses = rights.count((True, False)), rights.count((False, True))
    low, high = paired.difference_interval(wins, losses, len(rights), 0.95)
    return f"{100 * (wins - losses) / len(rights):+.1f} points ({100 * low:+.1f} to {100 * high:+.1f})"


def limits(graft) -> str:
    """What Graft's seconds are made of: what the figures above cannot exceed on this machine."""
    more = graft.more
    views = more["images"]["train"] * more["views"] + more["images"]["val"]
    forward, start = views / more["own_a_second"], more["start"]
    extract, transfer, finetune = graft.seconds.values()
    return (f"\nWhat limits Graft: of its {graft.total:.0f} s, {forward:.0f} s are the forward pass of {views} views "
            f"and nothing else, {3 * start:.0f} s the start of three processes ({start:.1f} s to import TensorFlow and "
            f"Keras in each), {transfer + finetune - 2 * start:.0f} s the rest of transfer and finetune, "
            f"{extract - forward - start:.0f} s the rest of extract: building the network, decoding, augmenting, "
            "writing.")
