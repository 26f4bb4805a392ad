"""Find which column of a table is which field of a person, by headings in several languages."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gated.core.text import code_key, search_key
from gated.errors import SourceError

FIELDS = ("first_name", "last_name", "department", "position", "email", "phone")
OVERRIDE = "override"
"""Why a face may be enrolled for a person though it is somebody else's, too."""
COLUMNS = ("personnel_code", "photo", "encoding", *FIELDS, OVERRIDE)
_NEEDED = {
    frozenset({"personnel_code"}): "personnel_code",
    frozenset({"photo", "encoding"}): "photo (or encoding)",
}
"""Of which columns there must be one -> how that is said."""
OWN = frozenset({"line", "problem"})
"""Columns that a table of failures has besides, see `failures`."""

_WORDS = {
    "personnel_code": "personnelcode personnelnumber personnelno personnelnr staffnumber staffid "
    "employeecode employeenumber employeeid personalnummer personalnr personalcode persnr "
    "personalkennung mitarbeiternummer mitarbeiternr ausweisnummer stammnummer matricule "
    "codepersonnel codedupersonnel nummatricule numeromatricule numerodematricule nomatricule "
    "nmatricule ndematricule codeemploye numeroemploye numerodemploye nemploye noemploye",
    "photo": "photo photofile foto fotodatei bild bilddatei passbild lichtbild image portrait "
    "photographie fichierphoto",
    "encoding": "encoding kodierung codierung encodage",
    "first_name": "firstname givenname forename vorname vornamen rufname prenom prenoms",
    "last_name": "lastname surname familyname nachname familienname zuname nom nomdefamille "
    "nomfamille",
    "department": "department dept abteilung bereich departement service",
    "position": "position jobtitle stelle funktion berufsbezeichnung poste fonction",
    "email": "email emailaddress mailaddress mail emailadresse mailadresse courriel "
    "adresseemail adressemail adressecourriel adresseelectronique",
    "phone": "phone phonenumber telephone telefon telefonnummer telefonnr tel rufnummer "
    "numerodetelephone notelephone",
    OVERRIDE: "override",
}
_KNOWN = {word: field for field, words in _WORDS.items() for word in words.split()}

_GIVEN = re.compile(rf",(?=\s*(?:{'|'.join(COLUMNS)})\s*=)")


@dataclass(frozen=True, slots=True)
class Headings:
    """The columns of a table. fields: of each column, None where it is not imported."""

    titles: tuple[str, ...]
    fields: tuple[str | None, ...]
    line: int

    def notes(self) -> Iterator[str]:
        """Yield a sentence on each column that is not imported."""
        for title, field in zip(self.titles, self.fields, strict=True):
            if field is None and title and title.lower() not in OWN:
                near = difflib.get_close_matches(_word(title), _KNOWN, 1, 0.75)
                hint = f"; is it {_KNOWN[near[0]]}?" if near else ""
                yield f"line {self.line}: the column {title[:60]!r} is not imported{hint}"


def headings_of(cells: Sequence[str], line: int, given: Mapping[str, str]) -> Headings:
    """Find out what the columns are. given: field -> heading, where it is none that is known.

    Raises: SourceError when columns are missing, or when two are the same.
    """
    titles = tuple(cell.strip() for cell in cells)
    fields = [_field(title) for title in titles]
    keys = [code_key(title) for title in titles]
    for field, title in given.items():
        if code_key(title) not in keys:
            text = f"there is no column {title!r}; there are {_listed(titles)}"
            raise SourceError(text).named("no_column", title)
        fields = [None if known == field else known for known in fields]
    for field, title in given.items():
        for at in (i for i, key in enumerate(keys) if key == code_key(title)):
            fields[at] = field
    _surnames(titles, fields)
    _refuse_twins(titles, fields, line)
    if missing := [says for names, says in _NEEDED.items() if not names & set(fields)]:
        text = _missing(missing, titles, line, is_head=any(fields))
        raise SourceError(text).named("columns_missing", _listed(titles))
    return Headings(titles, tuple(fields), line)


def _missing(missing: Sequence[str], titles: Sequence[str], line: int, *, is_head: bool) -> str:
    """Say which columns a table lacks. is_head: some of its first line are known headings."""
    if not is_head:
        return (
            "the first line must name the columns: personnel_code, photo (or encoding) and, as "
            f"wanted, {', '.join(FIELDS)}; there are {_listed(titles)}. {_OTHERS}"
        )
    which = " and no column ".join(missing)
    return f"line {line}: there is no column {which}; there are {_listed(titles)}. {_OTHERS}"


_OTHERS = (
    "For other headings say which is which, such as --columns personnel_code=ID (columns, over the "
    "API)"
)


def columns_given(texts: Sequence[str]) -> dict[str, str]:
    """Take apart what was given as FIELD=HEADING, several with commas between; SourceError."""
    given: dict[str, str] = {}
    for text in (part for whole in texts for part in _GIVEN.split(whole) if part.strip()):
        field, equals, title = text.partition("=")
        field = field.strip()
        if not equals or field not in COLUMNS or not title.strip():
            raise SourceError(
                f"{text.strip()[:60]!r} is no FIELD=HEADING with a field of {', '.join(COLUMNS)}"
            )
        if field in given:
            raise SourceError(f"{field} was given two headings")
        given[field] = title.strip()
    return given


def _field(title: str) -> str | None:
    return _KNOWN.get(_word(title))


def _word(title: str) -> str:
    return re.sub(r"[^a-z0-9]", "", search_key(title))


def _surnames(titles: Sequence[str], fields: list[str | None]) -> None:
    """Take `Name` beside a first name for the last name."""
    if "first_name" in fields and "last_name" not in fields:
        for at, title in enumerate(titles):
            if _word(title) == "name" and fields[at] is None:
                fields[at] = "last_name"
                return


def _refuse_twins(titles: Sequence[str], fields: Sequence[str | None], line: int) -> None:
    for field in COLUMNS:
        same = [i for i, known in enumerate(fields) if known == field]
        if len(same) > 1:
            which = " and ".join(f"{i + 1} ({titles[i]!r})" for i in same)
            raise SourceError(
                f"line {line}: the columns {which} are both {field}: keep one; for several photos "
                "of a person write a row for each"
            ).named("columns_twice", field)


def _listed(titles: Sequence[str]) -> str:
    named = [repr(title[:40]) for title in titles[:20] if title]
    return ", ".join(named) or "none"
