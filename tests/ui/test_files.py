"""The files of the pages, without a browser: what may not be in them, and how large they are."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from gated.ui import pages
from tests.fixtures.server import Running

STATIC = Path(pages.__file__).parent / "static"
SCRIPTS = sorted(STATIC.rglob("*.js"))
FORBIDDEN = (
    r"\binnerHTML\b|\bouterHTML\b|insertAdjacentHTML|document\.write",
    r"\beval\(|new Function\(|setTimeout\(\s*[\"']",
    r"https?://(?!www\.w3\.org/2000/svg)",
)
FIRST_PAGE = 40_000
"""Bytes over the wire of what "Now" loads."""


@pytest.mark.parametrize("pattern", FORBIDDEN)
def test_no_script_makes_markup_or_code_of_text_or_leaves_the_host(pattern: str) -> None:
    assert [s.name for s in SCRIPTS if re.search(pattern, s.read_text(encoding="utf-8"))] == []


def test_pages_have_neither_inline_script_nor_style() -> None:
    for page in STATIC.glob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=", text), page.name


def _imports(script: Path) -> set[Path]:
    named = re.findall(r"(?:from|import\()\s*\"(\.[^\"]+)\"", script.read_text(encoding="utf-8"))
    return {(script.parent / name).resolve() for name in named}


def test_every_import_is_there_and_every_module_is_used() -> None:
    imported = set().union(*(_imports(s) for s in SCRIPTS))
    assert [str(p) for p in imported if not p.exists()] == []
    begun = {
        (STATIC / name).resolve()
        for page in STATIC.glob("*.html")
        for name in re.findall(r"@version/(js/[^\"]+)", page.read_text(encoding="utf-8"))
    }
    assert {s.resolve() for s in SCRIPTS} - imported - begun == set()


def test_every_name_that_is_imported_is_exported_and_used() -> None:
    for script in SCRIPTS:
        text = script.read_text(encoding="utf-8")
        for names, source in re.findall(r"import \{([^}]+)\} from \"([^\"]+)\"", text):
            theirs = (script.parent / source).read_text(encoding="utf-8")
            exported = set(
                re.findall(r"export (?:async )?(?:const|function\*?|class) (\w+)", theirs)
            )
            for name in (n.strip().split(" as ")[-1] for n in names.split(",")):
                assert name in exported, f"{script.name} imports {name} from {source}"
                assert len(re.findall(rf"(?<!\w){re.escape(name)}\b", text)) > 1, (
                    f"{script.name}: {name} is unused"
                )


def test_the_first_page_is_small() -> None:
    shell = (STATIC / "index.html").read_text(encoding="utf-8")
    named = re.findall(r"@version/([^\"]+)", shell)
    loaded = {*named, "js/screens/now.js", "i18n/fa.json"} - {"icon-alarm.svg"}
    sizes = {n: len(gzip.compress((STATIC / n).read_bytes(), 9)) for n in loaded}
    assert sum(sizes.values()) + len(gzip.compress(shell.encode(), 9)) <= FIRST_PAGE, sizes


@pytest.fixture
def client(server: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.address, trust_env=False, timeout=60) as client:
        yield client


def test_the_shell_is_asked_for_again_and_its_files_are_kept(client: httpx.Client) -> None:
    shell = client.get("/ui/people/3")
    assert shell.headers["Cache-Control"] == "no-cache"
    assert "require-trusted-types-for 'script'" in shell.headers["Content-Security-Policy"]
    assert "unsafe" not in shell.headers["Content-Security-Policy"]
    assert "camera=(self)" in shell.headers["Permissions-Policy"]
    again = client.get("/ui/", headers={"If-None-Match": shell.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    for path in set(re.findall(r"/ui/static/[^\"]+", shell.text)):
        found = client.get(path)
        assert found.status_code == 200, path
        assert "immutable" in found.headers["Cache-Control"]


def test_a_file_of_another_version_is_not_kept(client: httpx.Client) -> None:
    assert client.get("/ui/static/other/css/app.css").headers["Cache-Control"] == "no-cache"
    for path in ("index.html", "..%2fpages.py", "css/..%2f..%2fpages.py", "nothing.js"):
        assert client.get(f"/ui/static/other/{path}").status_code == 404
