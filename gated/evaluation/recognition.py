"""Measure how well faces are recognised on any folder of people, for `gated evaluate`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from gated.config import Settings
from gated.core import evaluation as stats
from gated.core.calibration import Calibration, fit
from gated.core.evaluation import RATES, Owners, Similarities
from gated.core.gallery import unit
from gated.core.statistics import clopper_pearson
from gated.core.values import Vector
from gated.enrollment.models import VisionKit
from gated.errors import EnrollmentRefused, SourceError
from gated.evaluation.page import faces_parts, write_page
from gated.vision.decoding import decode
from gated.vision.evaluation_crop import portrayed
from gated.vision.plot import det_png

Progress = Callable[[str, int, int], None]
"""(name of the step, amount done, amount in all)."""

GALLERIES = 50
FOLDS = 10
PAIRS_PER_FOLD = 300
SEED = 20261122
"""Fixed, so that the same folder gives the same figures."""

FUSION = 0.6
"""Weight of dlib's cosine in the fusion; SFace has the rest. The rates hardly change from 0.5 to
0.8."""


@dataclass(frozen=True, slots=True, eq=False)
class PhotoFolder:
    """The usable photos of a folder.

    names: of the people, by owner. owners: (n,) index into names. files: (n,). templates, probes:
    one for each engine, (n, d). unusable: file -> why.
    """

    names: tuple[str, ...]
    owners: Owners
    files: tuple[Path, ...]
    templates: tuple[Vector, ...]
    probes: tuple[Vector, ...]
    unusable: Mapping[Path, str]

    def similarities(self, weights: Sequence[float]) -> Similarities:
        """(n, n) cosine of the template of the row with the probe of the column, over engines."""
        parts = zip(weights, self.templates, self.probes, strict=True)
        return np.asarray(sum(w * (unit(t) @ unit(p).T) for w, t, p in parts), np.float32)


@dataclass(frozen=True, slots=True)
class Pair:
    """Two photos of a pairs file; None: not there or without a face."""

    first: int | None
    second: int | None
    same: bool


@dataclass(frozen=True, slots=True)
class Trial:
    """A trial of identification: the promise, random galleries, photos each is enrolled from."""

    fpir: float
    galleries: int
    enrolled_from: int


def list_photos(folder: Path) -> list[tuple[str, Path]]:
    """(person, file) for every file in the sub-folders of a folder.

    Raises: SourceError without any.
    """
    try:
        found = [
            (person.name, file)
            for person in sorted(folder.iterdir())
            if person.is_dir() and not person.name.startswith(".")
            for file in sorted(person.iterdir())
            if file.is_file() and not file.name.startswith(".")
        ]
    except OSError as error:
        raise SourceError(f"{folder}: {error.strerror or error}") from None
    if not found:
        raise SourceError(f"{folder}: holds no sub-folder with photos (one sub-folder a person)")
    return found


def embed_people(kits: Sequence[VisionKit], folder: Path, progress: Progress) -> PhotoFolder:
    """Find and embed the central face of every photo; nothing is written anywhere.

    SourceError when fewer than two people are left.
    """
    photos = list_photos(folder)
    kept: list[tuple[str, Path]] = []
    vectors: list[list[tuple[Vector, Vector]]] = []
    unusable: dict[Path, str] = {}
    for done, (person, file) in enumerate(photos):
        progress("photos", done, len(photos))
        try:
            image = decode(_content(file))
            seen = [portrayed(kit.models, image) for kit in kits]
        except EnrollmentRefused as refusal:
            unusable[file] = refusal.reason
            continue
        kept.append((person, file))
        vectors.append([(p.template, p.probe) for p in seen])
    progress("photos", len(photos), len(photos))
    names = sorted({person for person, _ in kept})
    if len(names) < 2:
        raise SourceError(f"{folder}: at least two people with a usable photo are needed")
    index = {name: i for i, name in enumerate(names)}
    return PhotoFolder(
        tuple(names),
        np.array([index[person] for person, _ in kept]),
        tuple(file for _, file in kept),
        tuple(np.stack([v[e][0] for v in vectors]) for e in range(len(kits))),
        tuple(np.stack([v[e][1] for v in vectors]) for e in range(len(kits))),
        unusable,
    )


def evaluate_faces(
    settings: Settings,
    folder: Path,
    *,
    pairs: Path | None = None,
    fpir: float | None = None,
    galleries: int = GALLERIES,
    enrolled_from: int = 1,
    det: Path | None = None,
    html: Path | None = None,
    fuse: bool = False,
    progress: Progress = lambda what, done, total: None,
) -> dict[str, Any]:
    """Verification and open-set identification on a folder of people; the report as plain values.

    pairs: pairs in LFW's format for the accuracy, else pairs are drawn from the folders. fpir: the
    promise, else that of the settings. enrolled_from: photos a person. det: a PNG file to draw the
    DET curve into. html: a file for the report as a page. fuse: SFace and dlib together.
    SourceError, AssetError.
    """
    kits, weights = kits_for(settings, fuse)
    people = embed_people(kits, folder, progress)
    similarities = people.similarities(weights)
    rng = np.random.default_rng(SEED)
    promised = settings.recognition.fpir if fpir is None else fpir
    folds = read_pairs(pairs, people, folder) if pairs else draw_pairs(people.owners, rng)
    compared = stats.all_pairs(similarities, people.owners)
    if det is not None:
        _write_det(det, compared, folder.name)
    report = {
        "model": " + ".join(kit.model for kit in kits),
        "people": len(people.names),
        "photos": len(people.files),
        "unusable": {str(p.relative_to(folder)): why for p, why in people.unusable.items()},
        "pairs": pairs.name if pairs else "drawn from the folders",
        **_verification(folds, similarities, compared, rng),
        **_identification(
            people,
            similarities,
            Trial(promised, galleries, enrolled_from),
            None if fuse else kits[0],
            rng,
            progress,
        ),
    }
    if html is not None:
        curve = zip(*stats.det_curve(compared), strict=True) if len(compared.genuine) else ()
        points = [(float(fmr), float(fnmr)) for fmr, fnmr in curve]
        write_page(html, f"Recognition on {folder.name}", faces_parts(report, points))
    return report


def calibrate(settings: Settings, folder: Path, progress: Progress) -> Calibration:
    """Return a calibration of the configured engine from a folder of people, one sub-folder a
    person.

    SourceError when there are too few people or photos.
    """
    # an older calibration is no part of a new one, and may be of another model
    recognition = settings.recognition.model_copy(update={"calibration": None})
    kit = VisionKit(settings.model_copy(update={"recognition": recognition}))
    people = embed_people([kit], folder, progress)
    everybody = np.arange(len(people.names))
    scores = stats.impostors(people.similarities([1.0]), people.owners, everybody)
    source = (
        f"{folder.name}: {len(people.names)} people, {len(people.files)} photos, "
        f"{len(scores)} impostor comparisons"
    )
    try:
        return fit(scores, kit.model, source)
    except ValueError as error:
        raise SourceError(f"{folder}: {error}") from None


def kits_for(settings: Settings, fuse: bool) -> tuple[list[VisionKit], list[float]]:
    """Models of the engine of the settings, or of both, and the weight of each similarity."""
    if not fuse:
        return [VisionKit(settings)], [1.0]
    kits = []
    for engine in ("sface", "dlib"):
        vision = settings.vision.model_copy(update={"engine": engine})
        recognition = settings.recognition.model_copy(update={"calibration": None})
        changed = {"vision": vision, "recognition": recognition}
        kits.append(VisionKit(settings.model_copy(update=changed)))
    return kits, [1.0 - FUSION, FUSION]


# --- pairs ------------------------------------------------------------------------------------


def read_pairs(file: Path, people: PhotoFolder, folder: Path) -> list[list[Pair]]:
    """Folds of pairs in LFW's format; SourceError names the line that is wrong.

    `name i j` are two photos of a person, `name i other j` of two. Photo i is the one whose name
    ends with that number, else the i-th by name. The first line tells folds and pairs per half; the
    pairs of a file of one fold are dealt into several, so that each has both kinds.
    """
    places = {path: i for i, path in enumerate(people.files)}
    photos: dict[str, list[Path]] = {}
    for person, path in list_photos(folder):
        photos.setdefault(person, []).append(path)
    try:
        head, *lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise SourceError(f"{file}: cannot be read: {error}") from None
    found = []
    for number, line in enumerate(lines, start=2):
        if not line.strip():
            continue
        try:
            first, second = _two_photos(line.split())
            a, b = (_photo(photos[name], int(nth)) for name, nth in (first, second))
        except (KeyError, ValueError, IndexError):
            raise SourceError(f"{file}:{number}: names no two photos of {folder}") from None
        found.append(Pair(places.get(a), places.get(b), first[0] == second[0]))
    same, other = ([p for p in found if p.same is kind] for kind in (True, False))
    if min(len(same), len(other)) < 2:
        raise SourceError(
            f"{file}: holds {len(same)} pairs of one person and {len(other)} of two: an accuracy "
            "needs two of each, or more"
        )
    numbers = head.split()
    count = int(numbers[0]) if len(numbers) == 2 and numbers[0].isdigit() else 1
    size = -(-len(found) // max(count, 1))
    folds = [found[i : i + size] for i in range(0, len(found), size)]
    if len(folds) > 1 and all(len({p.same for p in fold}) == 2 for fold in folds):
        return folds
    parts = min(FOLDS, len(same), len(other))
    return [[*same[i::parts], *other[i::parts]] for i in range(parts)]


def _two_photos(fields: Sequence[str]) -> tuple[tuple[str, str], tuple[str, str]]:
    if len(fields) == 3:
        return (fields[0], fields[1]), (fields[0], fields[2])
    name, nth, other, mth = fields
    return (name, nth), (other, mth)


def _photo(photos: Sequence[Path], nth: int) -> Path:
    """Return the photo whose name ends with the number, else the one at that place."""
    for photo in photos:
        number = re.search(r"(\d+)$", photo.stem)
        if number and int(number[1]) == nth:
            return photo
    if nth < 1:
        raise IndexError(nth)
    return photos[nth - 1]


def draw_pairs(owners: Owners, rng: np.random.Generator) -> list[list[Pair]]:
    """Folds of people, in each as many pairs of one person as of two; [] where nobody has two."""
    order = rng.permutation(int(owners.max()) + 1)
    folds = []
    for part in np.array_split(order, min(FOLDS, len(order) // 2)):
        photos = np.flatnonzero(np.isin(owners, part))
        same = [p for p in combinations(photos.tolist(), 2) if owners[p[0]] == owners[p[1]]]
        chosen = rng.permutation(len(same))[:PAIRS_PER_FOLD]
        genuine = [Pair(same[i][0], same[i][1], same=True) for i in chosen]
        others: list[Pair] = []
        while len(np.unique(owners[photos])) > 1 and len(others) < len(genuine):
            a, b = rng.choice(photos, 2, replace=False).tolist()
            if owners[a] != owners[b]:
                others.append(Pair(a, b, same=False))
        if genuine:
            folds.append([*genuine, *others])
    return folds


# --- figures ----------------------------------------------------------------------------------


def _verification(
    folds: Sequence[Sequence[Pair]],
    similarities: Similarities,
    compared: stats.Pairs,
    rng: np.random.Generator,
) -> dict[str, Any]:
    report: dict[str, Any] = {"accuracy": None}
    if len(folds) >= 2:
        accuracy = stats.kfold_accuracy([_scores(fold, similarities) for fold in folds])
        report = {
            "accuracy": round(accuracy.value, 6),
            "accuracy_interval": _rounded(clopper_pearson(accuracy.right, accuracy.pairs)),
            "accuracy_folds": [round(v, 6) for v in accuracy.folds],
            "accuracy_pairs": accuracy.pairs,
        }
    estimates = {_name(rate): stats.tmr_at_fmr(compared, rate, rng) for rate in RATES}
    return {
        **report,
        "genuine_comparisons": len(compared.genuine),
        "impostor_comparisons": len(compared.impostor),
        "tmr_at_fmr": {n: e and round(e.value, 6) for n, e in estimates.items()},
        "tmr_interval": {n: e and _rounded(e.interval) for n, e in estimates.items()},
        "similarity_at_fmr": {
            n: None if e is None or e.threshold is None else round(e.threshold, 4)
            for n, e in estimates.items()
        },
    }


def _scores(fold: Sequence[Pair], similarities: Similarities) -> tuple[Similarities, stats.Bools]:
    """Similarities of the pairs; a photo without a face is like nobody's."""
    scores = [
        -1.0 if p.first is None or p.second is None else similarities[p.first, p.second]
        for p in fold
    ]
    return np.array(scores, np.float32), np.array([p.same for p in fold])


def _identification(
    people: PhotoFolder,
    similarities: Similarities,
    trial: Trial,
    kit: VisionKit | None,
    rng: np.random.Generator,
    progress: Progress,
) -> dict[str, Any]:
    wanted = trial.fpir
    found = stats.open_set(
        similarities,
        people.owners,
        lambda calibration, templates: calibration.threshold(wanted, templates),
        rng,
        trial.galleries,
        trial.enrolled_from,
        lambda done, total: progress("galleries", done, total),
    )
    report = {
        "fpir_promised": wanted,
        "enrolled_from": trial.enrolled_from,
        **_open_set(found),
    }
    if kit is not None:
        shipped = kit.calibration
        at = stats.open_set_at(
            similarities,
            people.owners,
            lambda templates: shipped.threshold(wanted, templates),
            rng,
            trial.galleries,
            trial.enrolled_from,
        )
        report["shipped"] = {"calibration": shipped.source, **_open_set(at)}
    return report


def _open_set(found: stats.OpenSet | None) -> dict[str, Any]:
    if found is None:
        return {"fpir_measured": None, "fnir": None}
    return {
        "fpir_measured": round(found.fpir.value, 6),
        "fpir_interval": _rounded(found.fpir.interval),
        "fnir": round(found.fnir.value, 6),
        "fnir_interval": _rounded(found.fnir.interval),
        "galleries": found.galleries,
        "people_per_gallery": round(found.gallery, 1),
        "threshold": round(found.threshold, 4),
    }


def _write_det(file: Path, compared: stats.Pairs, title: str) -> None:
    if not len(compared.genuine):
        raise SourceError("a DET curve needs a person with two photos")
    try:
        file.write_bytes(det_png({"template against probe": stats.det_curve(compared)}, title))
    except OSError as error:
        raise SourceError(f"{file}: cannot be written: {error.strerror}") from None


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise EnrollmentRefused("unreadable_image", str(error)) from None


def _name(rate: float) -> str:
    return f"1e-{round(-np.log10(rate))}"


def _rounded(interval: tuple[float, float]) -> list[float]:
    return [round(v, 6) for v in interval]
