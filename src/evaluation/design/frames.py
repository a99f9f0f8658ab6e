"""Two samples put together as one design: strata by frame, weighting chains kept, people in both frames shared out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evaluation.design.collapse import Codes, Floats
from evaluation.design.columns import Columns
from evaluation.design.design import Design, require_design
from evaluation.design.sampling import FramePart, Sampling, Stage, require_column
from evaluation.design.steps import AppliedStep, CellStep, Derivative, HoldingStep, WeightingStep, replayed
from evaluation.errors import ColumnError, DesignError, did_you_mean
from evaluation.results import Labels, PlainLabels, Provenance

Mask = NDArray[np.bool_]
Overlap = str | Literal[False] | None
Share = float | Literal["effective"] | None


def join_frames(
    frames: Mapping[str, Design], *, overlap: Overlap = None, share: Share = None, frame: str = "frame"
) -> Design:
    """Put samples that were drawn independently from several frames together as one design.

    Every estimate then comes from one design: a difference between frames is a contrast whose variance
    knows that they share nobody's draw, and one raking can adjust both.

    Parameters
    ----------
    frames : mapping of name to Design
        Two or more linearized designs, e.g. ``{"roster": roster, "citizens": citizens}``. Each keeps its
        strata, units, finite populations, rules and weighting chain; columns of one frame alone are
        missing in the others.
    overlap : str or False
        Column, in every frame, that is true (or 1) for respondents who could have been drawn from the
        other frame too. False: nobody can, or the frames are only compared and never added up.
    share : float between 0 and 1, or "effective", optional
        How people of both frames are shared out: weights of those flagged in the first frame are
        multiplied by ``share``, in the second by the rest, so that both together count them once.
        ``"effective"`` takes the first frame's part of the effective sample sizes (Kish) among the flagged;
        like a given one it counts as fixed. Two frames only.
    frame : str, default "frame"
        Name of the new column that says which frame a respondent comes from.

    Returns
    -------
    Design

    Raises
    ------
    DesignError
        ``overlap`` is not said, or shows overlap without a share; designs carry replicates or mix
        linearizations; nobody of a frame is flagged although people are to be shared out.
    ColumnError
        A column has another kind in another frame, or the new column exists.

    Notes
    -----
    Hartley's estimator of a total is :math:`\\hat Y_a + \\theta \\hat Y_{ab} + (1 - \\theta) \\hat Y_{ba} + \\hat Y_b`.
    The variance is the sum of those of the frames, each under its own design and chain. Domains by frame rest on
    the shared-out weights where there is a share.

    References
    ----------
    Hartley (1962), Multiple frame surveys, Proceedings of the Social Statistics Section, ASA. Lohr (2011),
    Survey Methodology 37. R twin: ``survey::multiframe`` (survey 4.2 and later).

    Examples
    --------
    >>> from evaluation.design.declaration import survey_design
    >>> roster = survey_design(pd.DataFrame({"w": [2.0, 2.0], "takes_part": [1, 1]}), weights="w")
    >>> citizens = survey_design(pd.DataFrame({"w": [9.0, 9.0, 9.0], "takes_part": [1, 0, 0]}), weights="w")
    >>> join_frames({"roster": roster, "citizens": citizens}, overlap="takes_part", share=0.5).weights.tolist()
    [1.0, 1.0, 4.5, 9.0, 9.0]
    """
    _require_frames(frames)
    data = _stacked(frames, frame)
    first = next(iter(frames.values()))
    steps = _steps(frames, len(data))
    joined = Design(
        data,
        _joined_sampling({name: design.sampling for name, design in frames.items()}, data, frame),
        np.concatenate([design.base_weights for design in frames.values()]),
        np.concatenate([design.weights for design in frames.values()]),
        _provenance(frames, steps),
        steps,
        _inside(frames),
        linearization=first.linearization,
    )
    shared_out = _shared_out(joined, frames, overlap, share)
    if shared_out is None:
        return joined
    flagged, first_share = shared_out
    place = np.where(flagged, 1 + (np.arange(len(data)) >= len(first)), 0)
    step = Composition(place, np.array([1.0, first_share, 1 - first_share]), {"overlap": overlap, "share": first_share})
    applied = AppliedStep(step, joined.weights, step.replay(joined.weights))
    provenance = replace(joined.provenance, weight=f"{joined.provenance.weight} → {step.verb}")
    return replace(joined, weights=applied.weights_out, steps=(*steps, applied), provenance=provenance)


def _require_frames(frames: Mapping[str, Design]) -> None:
    if not isinstance(frames, Mapping) or len(frames) < 2:
        raise DesignError(
            "join_frames needs two designs or more by the names of their frames: "
            "ev.join_frames({'roster': roster, 'citizens': citizens}, overlap=...)."
        )
    for name, design in frames.items():
        require_design(design, "join_frames")
        if design.replicates is not None:
            raise DesignError(
                f"join_frames: frame '{name}' carries replicates, which cannot be paired with linearization, nor "
                f"with replicates of a frame drawn apart. Join the linearized designs, then call "
                f"ev.as_replicates(joined, ...)."
            )
    kinds = {name: design.linearization for name, design in frames.items()}
    if len(set(kinds.values())) > 1:
        raise DesignError(
            f"join_frames: the frames differ in how their weighting chains enter the variance ({kinds}). Declare all "
            f"with the same linearization."
        )


def _stacked(frames: Mapping[str, Design], frame: str) -> pd.DataFrame:
    tables = {name: design.data for name, design in frames.items()}
    if not isinstance(frame, str) or not frame.strip():
        raise DesignError(
            f"join_frames: frame names the new column that says where a respondent comes from, got {frame!r}. Pass "
            f"text, e.g. frame='frame', or leave it out."
        )
    for name, table in tables.items():
        if frame in table.columns:
            raise ColumnError(f"join_frames: the data of '{name}' have a column '{frame}' already. Pass frame='...'.")
    columns = dict.fromkeys(column for table in tables.values() for column in table.columns)
    for column in columns:
        kinds = {name: _kind(table[column]) for name, table in tables.items() if column in table}
        if len(set(kinds.values()) - {"nothing"}) > 1:
            told = ", ".join(f"{kind} in '{name}'" for name, kind in kinds.items())
            raise ColumnError(f"join_frames: column '{column}' is {told}. Code it the same way in both, or rename one.")
        owners = [table[column].dtype for table in tables.values() if column in table]
        if len(owners) > 1 and all(isinstance(dtype, pd.CategoricalDtype) for dtype in owners):
            levels = dict.fromkeys(level for dtype in owners for level in cast(Any, dtype).categories)
            ordered = all(cast(Any, dtype).ordered for dtype in owners) and len(set(owners)) == 1
            own = pd.CategoricalDtype(list(levels), ordered=ordered)
            tables = {name: table.astype({column: own}) if column in table else table for name, table in tables.items()}
    data = pd.concat(list(tables.values()), ignore_index=True)
    sizes = [len(table) for table in tables.values()]
    names = pd.Categorical(np.repeat(list(tables), sizes), categories=list(tables))
    return data.assign(**{frame: names})


def _kind(column: pd.Series) -> str:
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.dropna().astype(column.cat.categories.dtype)
    if column.isna().all():
        return "nothing"
    if pd.api.types.is_bool_dtype(column) or pd.api.types.infer_dtype(column, skipna=True) == "boolean":
        return "yes or no"
    return "numbers" if pd.api.types.is_numeric_dtype(column) else "text"


def _joined_sampling(samplings: Mapping[str, Sampling], data: pd.DataFrame, frame: str) -> Sampling:
    depth = max(len(sampling.stages) for sampling in samplings.values())
    stages = [_stacked_stage([_stage_at(sampling, level) for sampling in samplings.values()]) for level in range(depth)]
    parts, start = [], 0
    for name, sampling in samplings.items():
        parts.append(FramePart(name, sampling, slice(start, start + sampling.n_units)))
        start += sampling.n_units
    return Sampling(tuple(stages), data, strata=frame, parts=tuple(parts))


def _stage_at(sampling: Sampling, level: int) -> Stage:
    """Return a stage, or beyond the last one its units again, each taken with certainty from itself."""
    if level < len(sampling.stages):
        return sampling.stages[level]
    last = sampling.stages[-1]
    return Stage(last.unit, np.arange(last.n_units), last.n_units, np.ones(last.n_units))


def _stacked_stage(stages: list[Stage]) -> Stage:
    units = np.cumsum([0, *(stage.n_units for stage in stages)])
    strata = np.cumsum([0, *(stage.n_strata for stage in stages)])
    unequal = any(stage.inclusion is not None for stage in stages)
    return Stage(
        np.concatenate([stage.unit + start for stage, start in zip(stages, units, strict=False)]),
        np.concatenate([stage.stratum + start for stage, start in zip(stages, strata, strict=False)]),
        int(strata[-1]),
        np.concatenate([stage.fraction for stage in stages]),
        inclusion=np.concatenate([stage.unit_fraction for stage in stages]) if unequal else None,
    )


def _inside(frames: Mapping[str, Design]) -> Mask | None:
    if all(design.inside is None for design in frames.values()):
        return None
    whole = [np.ones(len(d), dtype=bool) if d.inside is None else d.inside for d in frames.values()]
    return np.concatenate(whole)


def _steps(frames: Mapping[str, Design], n: int) -> tuple[AppliedStep, ...]:
    weights = np.concatenate([design.base_weights for design in frames.values()])
    steps, start = [], 0
    for name, design in frames.items():
        rows = slice(start, start + len(design))
        for applied in design.steps:
            before = weights
            weights = weights.copy()
            weights[rows] = applied.weights_out
            kind = FrameCellStep if isinstance(applied.step, CellStep) else FrameStep
            steps.append(AppliedStep(kind(applied.step, name, rows, n), before, weights))
        start += len(design)
    return tuple(steps)


@dataclass(frozen=True, eq=False)
class FrameStep:
    """A weighting step of one frame, within the joined design.

    Attributes
    ----------
    step : WeightingStep
        As its own design has it.
    frame : str
        Name of the frame.
    rows : slice
        Its respondents.
    n : int
        Respondents of all frames.
    """

    step: WeightingStep
    frame: str
    rows: slice
    n: int

    @property
    def verb(self) -> str:
        """Public verb that made the step."""
        return self.step.verb

    @property
    def arguments(self) -> Mapping[str, Any]:
        """The verb's arguments, with the frame."""
        return {**self.step.arguments, "frame": self.frame}

    @property
    def asked(self) -> Mapping[str, Any]:
        """The verb's keyword arguments as they were given."""
        return cast(Mapping[str, Any], getattr(self.step, "asked", {}))

    def replay(self, weights: Floats) -> Floats:
        """Repeat the step on other input weights, shape (n,)."""
        changed = weights.copy()
        changed[self.rows] = self.step.replay(weights[self.rows])
        return changed

    def replay_multiplied(self, weights: Floats, multiplicity: Floats) -> Floats:
        """Repeat the step on a replicate's weights and the multiplicity of each respondent, both shape (n,)."""
        changed = weights.copy()
        changed[self.rows] = replayed(self.step, weights[self.rows], multiplicity[self.rows])
        return changed

    def derivative(self, weights_in: Floats, weights_out: Floats) -> Derivative:
        """Return how the output weights move with the input weights: those of the other frames stay."""
        return self._among_all(self.step.derivative(weights_in[self.rows], weights_out[self.rows]), 1.0)

    def direct(self, weights_in: Floats, weights_out: Floats) -> Derivative | None:
        """Return how the output weights move with how often respondents were drawn; None where they do not."""
        if not isinstance(self.step, HoldingStep):
            return None
        own = self.step.direct(weights_in[self.rows], weights_out[self.rows])
        return None if own is None else self._among_all(own, 0.0)

    def _among_all(self, own: Derivative, factor: float) -> Derivative:
        """Return a derivative of the frame's weights with those of the other frames, multiplied by ``factor``."""
        left, right = (tuple(self._spread(part) for part in parts) for parts in (own.left, own.right))
        return Derivative(self._padded(own.factor, factor), left, right, own.middle, own.outside)

    @property
    def root(self) -> Floats | None:
        """Root of the covariance of totals that are estimates; None where the step has none."""
        return cast("Floats | None", getattr(self.step, "root", None))

    def residualise(self, x: Floats, weights_in: Floats, weights_out: Floats) -> Floats:
        """Return weighted influence ``x`` of shape (n, k) as R survey treats it at this step."""
        changed = x.copy()
        changed[self.rows] = self.step.residualise(x[self.rows], weights_in[self.rows], weights_out[self.rows])
        return changed

    def _spread(self, part: Columns) -> Columns:
        """Return the matrix with rows of zero for the other frames."""
        scale = self._padded(np.ones(part.n) if part.scale is None else part.scale, 0.0)
        code = None if part.code is None else self._padded(part.code, 0)
        dense = tuple(self._padded(column, 0.0) for column in part.dense)
        return replace(part, n=self.n, code=code, dense=dense, scale=scale)

    def _padded(self, values: NDArray[Any], fill: float) -> NDArray[Any]:
        whole = np.full(self.n, fill, dtype=values.dtype)
        whole[self.rows] = values
        return whole


@dataclass(frozen=True, eq=False)
class FrameCellStep(FrameStep):
    """A step of one frame that multiplies the weights of cells; the other frames are a cell that stays."""

    @property
    def cells(self) -> tuple[Codes, int]:
        """Cell of each respondent, shape (n,), and their number."""
        codes, n_cells = cast(CellStep, self.step).cells
        return self._padded(codes, n_cells), n_cells + 1

    def replay_cells(self, masses: Floats) -> Floats:
        """Return the multipliers of cells for sums of input weights by cell, both of shape (R, n_cells)."""
        own = cast(CellStep, self.step).replay_cells(masses[:, :-1])
        return np.hstack([own, np.ones((len(masses), 1))])


@dataclass(frozen=True, eq=False)
class Composition:
    """People whom both frames reach, shared out between them.

    Attributes
    ----------
    place : ndarray of int, shape (n,)
        0 for respondents of one frame only, 1 and 2 for those of both, by the frame they came from.
    factors : ndarray, shape (3,)
        What their weights are multiplied by.
    arguments : mapping
        As ``join_frames`` was asked.
    """

    place: Codes
    factors: Floats
    arguments: Mapping[str, Any]
    verb: str = "join_frames"

    @property
    def asked(self) -> Mapping[str, Any]:
        """The verb's keyword arguments as they were given."""
        return self.arguments

    @property
    def cells(self) -> tuple[Codes, int]:
        """Cell of each respondent, shape (n,), and their number."""
        return self.place, len(self.factors)

    def replay(self, weights: Floats) -> Floats:
        """Repeat the step on other input weights, shape (n,)."""
        return np.asarray(weights * self.factors[self.place])

    def replay_cells(self, masses: Floats) -> Floats:
        """Return the multipliers of cells, shape (R, n_cells)."""
        return np.tile(self.factors, (len(masses), 1))

    def derivative(self, weights_in: Floats, weights_out: Floats) -> Derivative:
        """Return how the output weights move with the input weights."""
        return Derivative(self.factors[self.place])

    def residualise(self, x: Floats, weights_in: Floats, weights_out: Floats) -> Floats:
        """Return weighted influence ``x`` as it is: fixed factors change nothing more."""
        return x


def _shared_out(
    joined: Design, frames: Mapping[str, Design], overlap: Overlap, share: Share
) -> tuple[Mask, float] | None:
    """Return who is flagged and the first frame's share; None where nobody is shared out."""
    if overlap is not False and not isinstance(overlap, str):
        raise DesignError(
            "join_frames: say whether people can be reached through more than one frame. overlap='column' names who "
            "could be drawn from the other frame too, with share= saying how they are shared out; overlap=False says "
            "that nobody can, or that the frames are only compared and never added up."
        )
    if overlap is False:
        if share is not None:
            raise DesignError("join_frames: share= shares out people of both frames, but overlap=False says none are.")
        return None
    flagged = np.concatenate([_flags(design, overlap, name) for name, design in frames.items()])
    by_frame = {
        name: int(part.sum())
        for (name, _), part in zip(frames.items(), np.split(flagged & joined.present, _ends(frames)), strict=True)
    }
    if share is None:
        if not any(by_frame.values()):
            return None
        counts = ", ".join(f"{count:,} of '{name}'" for name, count in by_frame.items())
        raise DesignError(
            f"join_frames: '{overlap}' says that respondents could be reached through the other frame too ({counts}), "
            f"so both together would count them twice. Share them out with share=0.5 or share='effective', or pass "
            f"overlap=False if the frames are only compared.",
            failures=joined.data.loc[flagged],
        )
    return flagged, _share(joined, flagged, by_frame, _ends(frames)[0], overlap, share)


def _ends(frames: Mapping[str, Design]) -> list[int]:
    return [int(end) for end in np.cumsum([len(design) for design in frames.values()])[:-1]]


def _flags(design: Design, overlap: str, name: str) -> Mask:
    if overlap not in design.data.columns:
        raise ColumnError(
            f"join_frames: no column '{overlap}' in frame '{name}'. {did_you_mean(overlap, design.data.columns)} Every "
            f"frame must say who could be drawn from the other; where all could, fill it with True."
        )
    require_column(design.data, overlap)
    column = design.data[overlap]
    wrong = ~column.isin([True, False, 0, 1]).to_numpy()
    if wrong.any():
        raise ColumnError(
            f"join_frames: '{overlap}' must be true or false (or 1 or 0) for everybody, but {int(wrong.sum())} of "
            f"{len(column)} respondents of '{name}' have something else (first: {column[wrong].tolist()[0]!r}).",
            failures=design.data.loc[wrong],
        )
    return np.asarray(column.astype(bool).to_numpy())


def _share(
    joined: Design, flagged: Mask, by_frame: Mapping[str, int], split: int, overlap: str, share: object
) -> float:
    if len(by_frame) != 2:
        raise DesignError(f"join_frames shares people out between two frames, got {len(by_frame)}. Join two at a time.")
    empty = [name for name, count in by_frame.items() if count == 0]
    if empty:
        raise DesignError(
            f"join_frames: nobody of frame '{empty[0]}' is flagged in '{overlap}', so the people of both frames cannot "
            f"be shared out. Correct the column, or pass overlap=False."
        )
    if share == "effective":
        first = _effective_size(np.where(flagged, joined.domain_weights, 0.0)[:split])
        return first / (first + _effective_size(np.where(flagged, joined.domain_weights, 0.0)[split:]))
    number = isinstance(share, (int, float)) and not isinstance(share, bool)
    if not number or not 0 <= cast(float, share) <= 1:
        raise DesignError(f"join_frames: share must lie between 0 and 1, or be 'effective', got {share!r}.")
    return float(cast(float, share))


def _effective_size(weights: Floats) -> float:
    return float(weights.sum() ** 2 / (weights**2).sum())


@dataclass(frozen=True)
class FrameLabels:
    """Labels of several frames: the first that knows a word says it.

    Attributes
    ----------
    parts : tuple of Labels
        By frame.
    """

    parts: tuple[Labels, ...]

    def variable(self, name: str, lang: str) -> str:
        """Return the label of a column."""
        found = (part.variable(name, lang) for part in self.parts)
        return next((label for label in found if label != name), name)

    def value(self, name: str, value: object, lang: str) -> str:
        """Return the label of a code of a column."""
        found = [part.value(name, value, lang) for part in self.parts]
        return next((label for label in found if label != str(value)), found[0])


def _provenance(frames: Mapping[str, Design], steps: tuple[AppliedStep, ...]) -> Provenance:
    """Return what a caption says of the samples together."""
    each = {name: design.provenance for name, design in frames.items()}
    known = {id(own.labels): own.labels for own in each.values() if not isinstance(own.labels, PlainLabels)}
    labels = tuple(known.values())
    bases = {name: own.weight.split(" → ")[0] for name, own in each.items()}
    named = bases.values() if len(set(bases.values())) == 1 else (f"{name}: {base}" for name, base in bases.items())
    return Provenance(
        survey=" / ".join(dict.fromkeys(own.survey for own in each.values())),
        title=_texts([own.title for own in each.values()], " / "),
        population=_texts([own.population for own in each.values()], " / "),
        notice=_texts([own.notice for own in each.values()], ". "),
        n=sum(own.n for own in each.values()),
        weight=" → ".join([", ".join(dict.fromkeys(named)), *(applied.step.verb for applied in steps)]),
        labels=PlainLabels() if not labels else labels[0] if len(labels) == 1 else FrameLabels(labels),
        min_cell=max(own.min_cell for own in each.values()),
        min_base=max(own.min_base for own in each.values()),
    )


def _texts(texts: list[Mapping[str, str]], mark: str) -> dict[str, str]:
    languages = dict.fromkeys(lang for text in texts for lang in text)
    return {lang: mark.join(dict.fromkeys(filter(None, (text.get(lang) for text in texts)))) for lang in languages}
