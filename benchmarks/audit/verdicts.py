"""What the figures of an audit mean, in plain words, each with its number."""

from __future__ import annotations

from typing import Any

__all__ = ["judge_term", "judge_whole", "kind_of"]

#: An AUC this near to 0.5 tells nothing, however sure it is.
MARGIN = 0.05

#: A verdict: its label, and the sentence with the number.
Verdict = list[str]


def kind_of(estimate: list[float]) -> str:
    """Return what an AUC with its interval says: real, corrupted, blind or unsure.

    Of the five AUC of a term that knows nothing, one may look sure by chance: in one of six audits
    at the worst, with 14 tunes.

    >>> [kind_of([0.9, 0.8, 0.95]), kind_of([0.3, 0.2, 0.4])]
    ['real', 'corrupted']
    >>> [kind_of([0.53, 0.51, 0.55]), kind_of([0.6, 0.4, 0.8])]
    ['blind', 'unsure']
    """
    value, low, high = estimate
    if abs(value - 0.5) <= MARGIN:
        return "blind"
    return "real" if low > 0.5 else "corrupted" if high < 0.5 else "unsure"


def judge_term(found: dict[str, Any], name: str) -> list[Verdict]:
    """Return the verdicts on a term: on corruption first, then on striking again."""
    said = [_on_corruption(found["auc"]["all"][name]), *_on_striking(found["strike again"][name])]
    weights = dict(zip(found["target"]["terms"], found["target"]["weights"], strict=True))
    if weights.get(name) == 0:
        said.append(["not paid", "its weight is 0"])
    return said


def judge_whole(found: dict[str, Any], name: str = "whole") -> list[Verdict]:
    """Return the verdicts on the weighted whole: those of a term, and what trivial play earns."""
    rows = {row: figures["over corpus"] for row, figures in found["returns"].items()}
    trivial = {row: over for row, over in rows.items() if row != "corpus"}
    more = {row: over for row, over in trivial.items() if over[1] > 1e-9}
    perhaps = {row: over for row, over in trivial.items() if over[2] > 1e-9}
    said = [_on_corruption(found["auc"]["all"][name])]
    if more:
        each = "; ".join(f"{row} {over[0]:+.1f}" for row, over in more.items())
        said.append(["games itself", f"trivial play earns more than the corpus: {each}"])
    elif perhaps:
        each = "; ".join(
            f"{row} {over[0]:+.1f}, {over[1]:+.1f} to {over[2]:+.1f}"
            for row, over in perhaps.items()
        )
        said.append(["perhaps gamed", f"trivial play may earn more than the corpus: {each}"])
    else:
        row, over = max(trivial.items(), key=lambda pair: pair[1][0])
        said.append(
            ["not gamed", f"the best trivial policy, {row}, earns {over[0]:+.1f} over the corpus"]
        )
    striking = found["strike again"][name]
    one, every = (striking[kind]["change"][0] for kind in ("one", "all"))
    rises = 100 * striking["one"]["rises"]
    said += _on_striking(striking) or [
        [
            "striking again does not pay",
            f"one held note struck again {one:+.2f} (rises in {rises:.0f} %), all {every:+.1f}",
        ]
    ]
    return said


def _on_corruption(auc: dict[str, list[float]]) -> Verdict:
    kinds = {corruption: kind_of(estimate) for corruption, estimate in auc.items()}
    unsure = _list(auc, kinds, "unsure")
    if "corrupted" in kinds.values():
        real = _list(auc, kinds, "real")
        return [
            "prefers corruption",
            _list(auc, kinds, "corrupted") + (f"; knows {real}" if real else ""),
        ]
    if "real" in kinds.values():
        blind = ", ".join(c for c, kind in kinds.items() if kind == "blind")
        said = _list(auc, kinds, "real") + (f"; blind to {blind}" if blind else "")
        return ["valid", said + (f"; unsure of {unsure}" if unsure else "")]
    if unsure:
        return ["unsure", f"no corruption is surely told apart: {unsure}"]
    values = [estimate[0] for estimate in auc.values()]
    return ["blind", f"no corruption is told apart: AUC {min(values):.2f} to {max(values):.2f}"]


def _list(auc: dict[str, list[float]], kinds: dict[str, str], kind: str) -> str:
    """Return the corruptions of a kind with their AUC."""
    return ", ".join(f"{c} {auc[c][0]:.2f}" for c, each in kinds.items() if each == kind)


def _on_striking(striking: dict[str, Any]) -> list[Verdict]:
    """Return a verdict where striking a held note again pays on average, with certainty."""
    words = {"one": "one held note struck again", "all": "all of them"}
    pays = {
        kind: figures for kind, figures in striking.items() if figures["change"][1] > 1e-9
    }  # the lower end of the interval
    if not pays:
        return []
    each = ", ".join(
        f"{words[kind]} {figures['change'][0]:+.2f} (rises in {100 * figures['rises']:.0f} %)"
        for kind, figures in pays.items()
    )
    return [["pays for striking", each]]
