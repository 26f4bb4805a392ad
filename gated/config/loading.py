"""From a file and the environment to checked settings; every mistake at once."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import TypeAdapter, ValidationError

from gated.config.settings import (
    COLLECT_MISFITS,
    ON_PAGES,
    SCOPES,
    SECTIONS,
    Misfit,
    Section,
    Settings,
)
from gated.config.yaml_locations import Keys, YamlDraft, dotted, parse
from gated.core.plain_words import broken
from gated.errors import Broken, ConfigError, Mistake

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from gated.core.calibration import Calibration

_SECRET_PARTS = re.compile(
    # up to the last @, as a password may hold one, and whatever else ends an address too early
    r"(?<=://).+@|(?<=password=)[^&\s]+|(?<=[?&]pwd=)[^&\s]+|(?<=[?&]token=)[^&\s]+"
    r"|(?<=[?&]pass=)[^&\s]+|(?<=[?&]key=)[^&\s]+|(?<=[?&]secret=)[^&\s]+",
    re.IGNORECASE | re.DOTALL,
)


ENVIRONMENT: Mapping[str, tuple[str, str]] = {
    "DATABASE_URL": ("storage", "database_url"),
    "SECRET_KEY": ("auth", "secret_key"),
    "ACCESS_TOKEN_EXPIRE_MINUTES": ("auth", "access_token_expire_minutes"),
    "UPLOAD_DIR": ("storage", "upload_dir"),
    "FACE_TOLERANCE": ("recognition", "face_tolerance"),
    "GATED_STATE_DIR": ("storage", "state_dir"),
}
"""Environment variable -> the setting that it overrides."""


Key = tuple[str, str]
"""(section, key)."""

Values = Mapping[str, Mapping[str, Any]]
"""section -> key -> plain value, as JSON and YAML have it."""


@dataclass(frozen=True, slots=True)
class ValueOrigin:
    """The source of a value; `place`: which file and line, variable or revision."""

    source: Literal["environment", "pages", "file", "hub", "default"]
    place: str = ""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Settings, where those that are no defaults come from, and which of the hub's do not hold."""

    settings: Settings
    origins: Mapping[Key, ValueOrigin]
    overruled: tuple[str, ...] = ()

    def origin(self, key: Key) -> ValueOrigin:
        """Return where the value of a key comes from."""
        return self.origins.get(key, ValueOrigin("default"))


def find_config(explicit: Path | None, environ: Mapping[str, str] = os.environ) -> Path | None:
    """The file to read: the one named, $GATED_CONFIG, or the first of the usual places."""
    if explicit is not None:
        return explicit
    if environ.get("GATED_CONFIG"):
        return Path(environ["GATED_CONFIG"])
    checkout = Path(__file__).parents[2]
    places = [Path("gate.yaml"), Path("/etc/gated/gate.yaml")]
    if (checkout / "pyproject.toml").is_file():
        places.insert(1, checkout / "gate.yaml")
    return next((place for place in places if _is_there(place)), None)


def _is_there(place: Path) -> bool:
    """Return whether there is a file; a usual place that may not be looked into has one.

    The working directory says nothing of the gate.
    """
    try:
        return place.is_file()
    except OSError:
        return place.is_absolute()


def load(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read and check the configuration; ConfigError lists every mistake, each with its place."""
    return load_with(path, environ).settings


def load_with(
    path: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    given: Values | None = None,
    given_by: str = "hub",
    own: Values | None = None,
) -> Loaded:
    """The same with the values that a hub gave, where neither file nor environment has one.

    own: what was set on the pages; it comes before the file, and after the environment.
    """
    file = find_config(path, environ)
    if file is None:
        raise ConfigError(
            "no gate.yaml here or in /etc/gated: name one with --config or GATED_CONFIG"
        )
    draft = parse(_read(file), _shown(file))
    base = _absolute(file).parent
    _write_out(draft)
    origins = {
        (section, key): ValueOrigin("file", draft.origins.get((section, key), ""))
        for section, values in draft.values.items()
        if isinstance(values, dict)
        for key in values
    }
    variables = _apply_environment(draft, environ, base)
    origins |= {key: ValueOrigin("environment", name) for key, name in variables.items()}
    _apply_own(draft, own or {}, origins)
    overruled = tuple(_apply_given(draft, given or {}, given_by, origins))
    settings = _build(draft, base)
    if settings is None:
        raise ConfigError.of(draft.problems)
    return Loaded(settings, origins, overruled)


def check_own(values: Mapping[str, Any]) -> dict[str, Broken]:
    """Return what is wrong with values that somebody would set on the pages: key -> why.

    `load_with` reports values that are impossible in combination with others.
    """
    draft = YamlDraft(dict(values), {(): ""})
    for section, part in draft.values.items():
        for key in part if isinstance(part, dict) and section in SECTIONS else ():
            if key in SECTIONS[section].model_fields and (section, key) not in ON_PAGES:
                _complain_of_file(draft, (section, str(key)))
            elif not _is_finite(part[key]):
                draft.complain((section, str(key)), "should be a finite number", "number")
    _sections(draft, Path())
    return {mistake.key: mistake.broken for mistake in draft.problems}


def check_given(values: Mapping[str, Any]) -> dict[str, Broken]:
    """Return what is wrong with values that a hub would give: key -> why; empty when all is well.

    Settings that conflict are reported where all keys concerned are given: with others it depends
    on the gate.
    """
    draft = YamlDraft(dict(values), {(): ""})
    _check_given(draft)
    return {mistake.key: mistake.broken for mistake in draft.problems}


def read_given(file: Path) -> dict[str, dict[str, Any]]:
    """Values for gates from a file that is written as gate.yaml is; ConfigError as of `load`."""
    return given_in(_read(file), _shown(file))


def given_in(text: str, name: str) -> dict[str, dict[str, Any]]:
    """Values for gates from a text that is written as gate.yaml is. Raises: ConfigError.

    name: what its lines are named after.
    """
    draft = parse(text, name)
    _write_out(draft)
    _check_given(draft)
    if draft.problems:
        raise ConfigError.of(sorted(draft.problems, key=_line))
    return draft.values


def _check_given(draft: YamlDraft) -> None:
    reported: set[Keys] = set()
    for section, part in draft.values.items():
        for key in part if isinstance(part, dict) and section in SECTIONS else ():
            reported.add((section, key))
            if SCOPES.get((section, str(key))) == "file":
                _complain_of_file(draft, (section, str(key)))
            elif not _is_finite(part[key]):
                draft.complain((section, str(key)), "should be a finite number", "number")
    for misfit, places in _misfits_of(_sections(draft, Path()), draft):
        if reported.issuperset(place[:2] for place in places):
            draft.misfit(places[0], misfit.text, misfit.rule, misfit.limit)


def _complain_of_file(draft: YamlDraft, key: Key) -> None:
    draft.complain(key, "is set in the file of the gate only", "file_only")


def _is_finite(value: Any) -> bool:
    """Return whether JSON can hold it."""
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


def check_tolerance(settings: Settings, calibration: Calibration) -> float | None:
    """The false match rate that `face_tolerance` stands for; None without one.

    ConfigError when it is laxer than 1e-3 and that is not accepted in words.
    """
    # NumPy comes with it, which `gated door lock` must not need
    from gated.core.calibration import TOLERANCE_LIMIT

    tolerance = settings.recognition.face_tolerance
    if tolerance is None:
        return None
    # an engine from outside is compared by cosine
    cosine = settings.vision.engine != "dlib"
    fmr = calibration.fmr(1.0 - tolerance if cosine else -tolerance)
    if fmr > TOLERANCE_LIMIT * (1 + 1e-9) and not settings.recognition.accept_lax_tolerance:
        limit = calibration.similarity_at(TOLERANCE_LIMIT)
        most = f"{1.0 - limit if cosine else -limit:.3f}"
        text = (
            f"{tolerance:g} lets one comparison in {1 / fmr:.0f} match a stranger: use {most} or "
            f"less (one in {1 / TOLERANCE_LIMIT:.0f}), or accept it with accept_lax_tolerance: true"
        )
        key, lax = "recognition.face_tolerance", Broken("lax_tolerance", most, text)
        raise ConfigError(f"{key} (FACE_TOLERANCE): {text}", mistakes=[Mistake("", key, lax)])
    return fmr


def effective(settings: Settings) -> dict[str, Any]:
    """The settings in force as plain values for display; secrets are masked."""
    masked: dict[str, Any] = _masked(settings.model_dump(mode="json"))
    return masked


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _masked(_without_secrets(v) if k == "options" else v) for k, v in value.items()}
    if isinstance(value, list):
        return [_masked(v) for v in value]
    if isinstance(value, str):
        return _SECRET_PARTS.sub(lambda m: "***@" if m[0].endswith("@") else "***", value)
    return value


_SECRET_NAME = re.compile(r"pass(word|wd|phrase)|secret|token|(^|_)(key|pin)$", re.IGNORECASE)
"""What a driver from outside may call a secret; its options have no types here."""


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            k: "***" if v and _SECRET_NAME.search(k) else _without_secrets(v)
            for k, v in value.items()
        }
    return value


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{_shown(file)}: is not UTF-8 text (byte {error.start})") from None
    except PermissionError as error:
        raise ConfigError(f"{_shown(file)}: {error.strerror}: try it with sudo") from None
    except OSError as error:
        raise ConfigError(f"{_shown(file)}: {error.strerror or error}") from None


def _shown(file: Path) -> str:
    """The path as short as it is unambiguous from here."""
    absolute, here = _absolute(file), _here()
    return str(absolute.relative_to(here) if absolute.is_relative_to(here) else absolute)


def _here() -> Path:
    """The working directory; the root where it is gone, or lies where nobody may look."""
    try:
        return Path.cwd()
    except OSError:
        return Path("/")


def _is_plain_file(place: Path) -> bool:
    try:
        return place.is_file()
    except OSError:
        return False


def _absolute(file: Path) -> Path:
    return Path(os.path.normpath(_here() / file))


# --- environment ----------------------------------------------------------------------------------


def read_dotenv(text: str, name: str) -> tuple[dict[str, tuple[str, str]], list[str]]:
    """`KEY=VALUE` lines -> {key: (value, place)}, and what could not be understood."""
    values: dict[str, tuple[str, str]] = {}
    problems = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip().removeprefix("export ").strip()
        if not line or line.startswith("#"):
            continue
        key, equals, value = line.partition("=")
        try:
            if not equals or not re.fullmatch(r"\w+", key.strip()):
                raise ValueError
            values[key.strip()] = (_unquoted(value.strip()), f"{name}:{number}")
        except ValueError:
            problems.append(f"{name}:{number}: expected KEY=VALUE")
    return values, problems


def _unquoted(value: str) -> str:
    quote = value[:1]
    if quote not in {"'", '"'}:
        return re.split(r"(?:^|\s)#", value, maxsplit=1)[0].strip()
    end = re.fullmatch(rf"{quote}((?:[^{quote}\\]|\\.)*){quote}\s*(#.*)?", value)
    if end is None:
        raise ValueError("unbalanced quotes")
    if quote == "'":
        return end[1]
    return re.sub(r"\\(.)", lambda m: {"n": "\n", "t": "\t"}.get(m[1], m[1]), end[1])


def dotenv_of(config: Path) -> Path | None:
    """The `.env` that is read with a configuration file; None where there is none."""
    return _dotenv_in(_absolute(config).parent)


def _dotenv_in(base: Path) -> Path | None:
    return next((f for f in (base / ".env", _here() / ".env") if _is_plain_file(f)), None)


def _apply_environment(draft: YamlDraft, environ: Mapping[str, str], base: Path) -> dict[Key, str]:
    """Let the variables of the environment, then those of `.env`, override the file; which did."""
    found: dict[str, tuple[str, str, Path]] = {}
    dotenv = _dotenv_in(base)
    if dotenv is not None:
        values, problems = read_dotenv(_read(dotenv), _shown(dotenv))
        draft.problems += (Mistake("", "", Broken(None, None, text)) for text in problems)
        found = {k: (v, f"{place}: {k}", dotenv.parent) for k, (v, place) in values.items()}
    found |= {k: (v, k, _here()) for k, v in environ.items() if v}
    applied: dict[Key, str] = {}
    for variable, keys in ENVIRONMENT.items():
        value, origin, relative_to = found.get(variable, ("", "", base))
        if value:
            applied[keys] = origin
            _override(draft, keys, value, origin, relative_to)
    return applied


def _override(draft: YamlDraft, keys: Key, text: str, origin: str, base: Path) -> None:
    """Put the text of a variable in the place of the file's value; `base` is for its paths."""
    section, key = keys
    draft.origins[keys] = origin
    target = draft.values.setdefault(section, {})
    if not isinstance(target, dict):
        return
    target.pop(key, None)
    info = SECTIONS[section].model_fields[key]
    try:
        typed = TypeAdapter[Any](info.rebuild_annotation()).validate_python(text)
    except ValidationError as error:
        _complain_of_value(draft, keys, error.errors())
        return
    match typed:
        case Path():
            target[key] = os.path.normpath(base / typed)
        case int() | float():
            target[key] = typed
        case _:
            target[key] = _absolute_sqlite(text, base)


def _write_out(draft: YamlDraft) -> None:
    """Put a whole section where one word stands in its place, and none where nothing does."""
    for name, values in list(draft.values.items()):
        if name in SECTIONS and values is None:
            del draft.values[name]
        elif name in SECTIONS and isinstance(values, str) and (word := SECTIONS[name].word):
            draft.values[name] = {word: values}
            draft.origins[name, word] = draft.origins[name,]


def _apply_own(draft: YamlDraft, own: Values, origins: dict[Key, ValueOrigin]) -> None:
    """Put what was set on the pages in the place of the file's values."""
    for section, values in own.items():
        target = draft.values.setdefault(section, {})
        for key, value in values.items():
            before = origins.get((section, key), ValueOrigin("default"))
            if before.source == "environment" or not isinstance(target, dict):
                continue
            target[key] = value
            draft.origins[section, key] = "settings page"
            origins[section, key] = ValueOrigin("pages", "settings page")


def _apply_given(
    draft: YamlDraft, given: Values, given_by: str, origins: dict[Key, ValueOrigin]
) -> Iterator[str]:
    """Put the hub's values where nobody else has one; yields the keys where somebody has."""
    for section, values in given.items():
        target = draft.values.setdefault(section, {})
        for key, value in values.items():
            if (section, key) in origins:
                yield dotted((section, key))
            elif isinstance(target, dict):
                target[key] = value
                draft.origins[section, key] = given_by
                origins[section, key] = ValueOrigin("hub", given_by)
                if SCOPES.get((section, key)) == "file":
                    _complain_of_file(draft, (section, key))


def _build(draft: YamlDraft, base: Path) -> Settings | None:
    """The settings, or None when the draft has problems (all of them are noted then)."""
    parts = _sections(draft, base)
    for misfit, places in _misfits_of(parts, draft):
        given = (p for p in places if p in draft.origins)
        draft.misfit(next(given, places[0]), misfit.text, misfit.rule, misfit.limit)
    draft.problems.sort(key=_line)
    if draft.problems:
        return None
    return Settings.model_validate(parts, context=COLLECT_MISFITS)


def _sections(draft: YamlDraft, base: Path) -> dict[str, Section]:
    """The sections as far as their values are right; what is wrong is noted."""
    parts: dict[str, Section] = {}
    for name, values in draft.values.items():
        if name not in SECTIONS:
            draft.complain_unknown((name,), Settings)
        elif isinstance(values, dict):
            parts[name] = _section(name, values, draft, base)
        else:
            draft.complain((name,), "must be a section with keys of its own", "object")
    return parts


def _misfits_of(
    parts: Mapping[str, Section], draft: YamlDraft
) -> Iterator[tuple[Misfit, list[tuple[str, ...]]]]:
    """Return what is impossible together, with the places of the values, where none is wrong
    anyway."""
    settings = Settings.model_validate(parts, context=COLLECT_MISFITS)
    for keys, misfit in _all_misfits(settings, ()):
        places = [(*keys, *key.split(".")) for key in misfit.keys]
        if not draft.wrong.intersection(p[:n] for p in places for n in range(len(p) + 1)):
            yield misfit, places


def _section(name: str, values: dict[str, Any], draft: YamlDraft, base: Path) -> Section:
    """The section as far as its values are right; the wrong ones are noted and left out."""
    cls = SECTIONS[name]
    values = {k: v for k, v in values.items() if all(w[:2] != (name, k) for w in draft.wrong)}
    while True:
        try:
            # as JSON, because strictness there still takes text for a path and a list for a tuple
            part = cls.model_validate_json(json.dumps(values), strict=True, context=COLLECT_MISFITS)
            return _anchored(part, base)
        except ValidationError as error:
            if not values:
                raise  # a default is wrong: our mistake, not the user's
            wrong: dict[Keys, list[ErrorDetails]] = {}
            left_out: set[str | int] = set()
            for item in error.errors():
                keys = _existing(item["loc"], values)
                if item["type"] == "extra_forbidden":
                    draft.complain_unknown((name, *keys), _owner(keys, cls))
                else:
                    wrong.setdefault((name, *keys), []).append(item)
                left_out.update(keys[:1] or values)
            for keys, found in wrong.items():
                _complain_of_value(draft, keys, found)
            values = {k: v for k, v in values.items() if k not in left_out}


def _existing(loc: Keys, values: Any) -> Keys:
    """The part of an error's place that is in the file: without the branches of a union."""
    keys: Keys = ()
    for part in loc:
        inside = isinstance(values, dict) and part in values
        if not inside and not (isinstance(values, list) and isinstance(part, int)):
            break
        keys, values = (*keys, part), values[part]
    return keys


def _owner(keys: Keys, cls: type[Section]) -> type[Section]:
    """The section model that the last of these keys stands in."""
    for key in keys[:-1]:
        annotation = cls.model_fields[str(key)].annotation
        if isinstance(annotation, type) and issubclass(annotation, Section):
            cls = annotation
    return cls


def _complain_of_value(draft: YamlDraft, keys: Keys, found: Sequence[ErrorDetails]) -> None:
    """Note what the validator says of one value; it has a rule where all of it has the same."""
    named = {
        (one.rule, one.limit)
        for one in (broken(e["type"], e["msg"], e.get("ctx") or {}) for e in found)
    }
    rule, limit = named.pop() if len(named) == 1 else (None, None)
    draft.complain(keys, _joined([e["msg"] for e in found]), rule, limit)


def _joined(messages: list[str]) -> str:
    """Messages of pydantic as the end of a sentence that begins with the key."""
    short = dict.fromkeys(
        m.removeprefix("Input ").replace("boolean", "true or false") for m in messages
    )
    return " or ".join(short)


def _all_misfits(
    section: Section, keys: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Misfit]]:
    for name, value in section:
        if isinstance(value, Section):
            yield from _all_misfits(value, (*keys, name))
    for misfit in section.misfits():
        yield keys, misfit


def _anchored(section: Section, base: Path) -> Section:
    """The section with its relative paths made absolute."""
    changed: dict[str, Any] = {}
    for name, value in section:
        if isinstance(value, Section):
            changed[name] = _anchored(value, base)
        elif isinstance(value, tuple) and any(isinstance(item, Section) for item in value):
            changed[name] = tuple(_anchored(item, base) for item in value)
        elif isinstance(value, Path):
            changed[name] = Path(os.path.normpath(base / value))
        elif name == "database_url" and value:
            changed[name] = _absolute_sqlite(value, base)
    return section.model_copy(update=changed)


def _absolute_sqlite(url: str, base: Path) -> str:
    """A relative SQLite file is relative to `base`, as every other path of its source."""
    relative = re.fullmatch(r"(sqlite(?:\+\w+)?:///)(?:\./)?(?!/|:memory:|file:)(.+)", url)
    return f"{relative[1]}{base}/{relative[2]}" if relative else url


def _line(problem: Mistake) -> int:
    place = re.match(r"[^:]*:(\d+)", str(problem))
    return int(place[1]) if place else 0
