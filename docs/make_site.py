"""Write the folder `site`, for any server of static files: the page with all bundled filters, and these pages.

    python docs/make_site.py docs/_build/html site

Every page states a Content-Security-Policy, and every link within the site is followed. Exit with status 1 where one
leads nowhere.
"""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sottovoce.jobs.web import export_web
from sottovoce.runtime import bundled
from sottovoce.studio.pages import add_link

LEFT_OUT = (".buildinfo", ".doctrees", "objects.inv", "_sources")
ELSEWHERE = ("https", "mailto", "data")


class Links(HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep what leads elsewhere, and what others may lead to."""
        for name, value in attrs:
            if name in ("href", "src", "action") and value:
                self.links.append(value)
            elif name == "id" and value:
                self.anchors.add(value)


def broken_links(folder: Path) -> Iterator[str]:
    """A line for each link of a page in the folder that leads nowhere, or out of it by anything but https."""
    pages = {path.resolve(): Links(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.html"))}
    for page, found in pages.items():
        for link in found.links:
            parts = urlsplit(link)
            if parts.scheme in ELSEWHERE:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            target = target / "index.html" if target.is_dir() else target
            inside = not parts.scheme and not parts.netloc and target.is_relative_to(folder.resolve())
            lost = parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors
            if not inside or not target.is_file() or lost:
                yield f"{page.relative_to(folder.resolve())}: {link}"


def with_policy(text: str) -> str:
    """A page of Sphinx with a policy that permits its own files, and the scripts and styles within it by their hash."""

    def hashes(tag: str) -> str:
        inner = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digests = [base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in inner]
        return "".join(f" 'sha256-{digest}'" for digest in dict.fromkeys(digests))

    policy = (
        f"default-src 'none'; script-src 'self'{hashes('script')}; style-src 'self'{hashes('style')}; "
        "style-src-attr 'unsafe-inline'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'"
    )
    meta = f'<meta charset="utf-8">\n    <meta http-equiv="Content-Security-Policy" content="{policy}">'
    page, count = re.subn(r'<meta charset="utf-8"\s*/?>', meta, text, count=1)
    assert count == 1, "a page of Sphinx states its character set first"
    return page


def main(docs: Path, out: Path) -> int:
    """Write the site; returns the exit status."""
    export_web([bundled.PLACE / name for name in bundled.known()], out)
    add_link(out / "index.html", "docs/index.html", "Documentation")
    shutil.copytree(docs, out / "docs", ignore=shutil.ignore_patterns(*LEFT_OUT))
    for page in (out / "docs").rglob("*.html"):
        page.write_text(with_policy(page.read_text(encoding="utf-8")), encoding="utf-8")
    (out / ".nojekyll").touch()  # or GitHub Pages leaves out folders that begin with an underscore
    broken = list(broken_links(out))
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file()) / 1e6
    print(*(f"this link leads nowhere: {line}" for line in broken), f"wrote {out}, {size:.1f} MB", sep="\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:3])))
